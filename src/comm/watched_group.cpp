#include "comm/watched_group.h"

#include <optional>
#include <span>
#include <utility>

#include "base/digest.h"
#include "comm/group_observer.h"

namespace weft {
namespace {

class Watch final : public GroupObserver {
 public:
  Watch(Group& group, Activity& activity, int rank, std::uint64_t parent, OnGroup on_group)
      : activity_(activity), rank_(rank), on_group_(std::move(on_group)) {
    std::vector<int> members(static_cast<std::size_t>(group.size()));
    group.all_gather(std::as_bytes(std::span(&rank_, 1)),
                     std::as_writable_bytes(std::span(members)), equal_counts(group, sizeof(int)));
    // Ranks that share a group share its first member, and nobody else has the two together.
    const std::uint64_t name[] = {parent, static_cast<std::uint64_t>(members.front())};
    name_ = digest_of(std::as_bytes(std::span(name))).low;
    on_group_(name_, members);
  }

  void begin(const GroupCall& call) override {
    if (is_collective(call.operation)) ++calls_;
    const int peer = call.operation == Operation::receive ? call.peer
                     : call.operation == Operation::send  ? sends_to_
                                                          : -1;
    wait_.emplace(activity_, call.operation, name_, calls_, peer);
  }
  void end(const GroupCall& /*call*/) override { wait_.reset(); }
  void started(const GroupCall& send) override {
    sends_to_ = sends_to_ == kNobody || sends_to_ == send.peer ? send.peer : kSeveral;
  }
  std::unique_ptr<GroupObserver> of_part(Group& part) override {
    const std::uint64_t name[] = {name_, ++splits_};
    return std::make_unique<Watch>(part, activity_, rank_,
                                   digest_of(std::as_bytes(std::span(name))).low, on_group_);
  }

 private:
  Activity& activity_;
  int rank_;
  OnGroup on_group_;
  std::uint64_t name_ = 0;
  std::int64_t calls_ = 0;  ///< collective operations begun: equal on all ranks
  std::uint64_t splits_ = 0;
  static constexpr int kNobody = -2;
  static constexpr int kSeveral = -1;
  int sends_to_ = kNobody;  ///< of all sends so far
  std::optional<Activity::Wait> wait_;
};

}  // namespace

std::unique_ptr<Group> make_watched_group(std::unique_ptr<Group> group, Activity& activity,
                                          int rank, std::uint64_t parent, const OnGroup& on_group) {
  auto watch = std::make_unique<Watch>(*group, activity, rank, parent, on_group);
  return observed_group(std::move(group), std::move(watch));
}

}  // namespace weft
