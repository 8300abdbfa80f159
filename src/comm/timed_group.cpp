#include "comm/timed_group.h"

#include <optional>
#include <utility>

#include "comm/group_observer.h"

namespace weft {
namespace {

class CommunicationTime final : public GroupObserver {
 public:
  explicit CommunicationTime(Tracer& tracer) : tracer_(tracer) {}

  void begin(const GroupCall& call) override {
    if (call.operation == Operation::split) return;
    if (tracer_.current() == Phase::waiting || tracer_.current() == Phase::bubble) return;
    scope_.emplace(tracer_, Phase::communication);
  }
  void end(const GroupCall& /*call*/) override { scope_.reset(); }
  std::unique_ptr<GroupObserver> of_part(Group& /*part*/) override {
    return std::make_unique<CommunicationTime>(tracer_);
  }

 private:
  Tracer& tracer_;
  std::optional<Tracer::Scope> scope_;
};

}  // namespace

std::unique_ptr<Group> make_timed_group(std::unique_ptr<Group> group, Tracer& tracer) {
  return observed_group(std::move(group), std::make_unique<CommunicationTime>(tracer));
}

}  // namespace weft
