#include "comm/counting_group.h"

#include "comm/group_observer.h"

namespace weft {
namespace {

class TrafficCount final : public GroupObserver {
 public:
  TrafficCount(const Group& group, Primitive axis, Traffic& traffic)
      : rank_(group.rank()), ranks_(group.size()), axis_(axis), traffic_(traffic) {}

  void begin(const GroupCall& /*call*/) override {}
  void end(const GroupCall& call) override {
    if (call.operation == Operation::all_gather) {
      traffic_.all_gather(axis_, rank_, call.received);
    } else if (call.operation == Operation::all_to_all) {
      traffic_.all_to_all(axis_, rank_, call.sent, call.received);
    } else if (call.operation == Operation::broadcast) {
      traffic_.broadcast(axis_, rank_, ranks_, call.bytes, call.peer);
    } else if (call.operation == Operation::receive && call.peer != rank_) {
      traffic_.receive(axis_, call.bytes);
    }
  }
  void started(const GroupCall& send) override {
    if (send.peer != rank_) traffic_.send(axis_, send.bytes);
  }
  std::unique_ptr<GroupObserver> of_part(Group& part) override {
    return std::make_unique<TrafficCount>(part, axis_, traffic_);
  }

 private:
  int rank_;
  int ranks_;
  Primitive axis_;
  Traffic& traffic_;
};

}  // namespace

std::unique_ptr<Group> make_counting_group(Group& group, Primitive axis, Traffic& traffic) {
  return observed_group(group, std::make_unique<TrafficCount>(group, axis, traffic));
}

}  // namespace weft
