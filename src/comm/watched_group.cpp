#include "comm/watched_group.h"

#include <span>

#include "base/digest.h"

namespace weft {
namespace {

class WatchedGroup final : public Group {
 public:
  WatchedGroup(std::unique_ptr<Group> group, Activity& activity, int rank, std::uint64_t parent,
               OnGroup on_group)
      : group_(std::move(group)), activity_(activity), rank_(rank), on_group_(std::move(on_group)) {
    std::vector<int> members(static_cast<std::size_t>(group_->size()));
    group_->all_gather(std::as_bytes(std::span(&rank_, 1)),
                       std::as_writable_bytes(std::span(members)),
                       equal_counts(*group_, sizeof(int)));
    // Ranks that share a group share its first member, and nobody else has the two together.
    const std::uint64_t name[] = {parent, static_cast<std::uint64_t>(members.front())};
    name_ = digest_of(std::as_bytes(std::span(name))).low;
    on_group_(name_, members);
  }

  [[nodiscard]] int rank() const override { return group_->rank(); }
  [[nodiscard]] int size() const override { return group_->size(); }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) override {
    const Activity::Wait wait(activity_, Operation::all_gather, name_, ++calls_);
    group_->all_gather(send, recv, counts);
  }
  void all_to_all(ByteView send, std::span<const Bytes> send_counts, ByteSpan recv,
                  std::span<const Bytes> recv_counts) override {
    const Activity::Wait wait(activity_, Operation::all_to_all, name_, ++calls_);
    group_->all_to_all(send, send_counts, recv, recv_counts);
  }
  void broadcast(ByteSpan bytes, int root) override {
    const Activity::Wait wait(activity_, Operation::broadcast, name_, ++calls_);
    group_->broadcast(bytes, root);
  }
  SendTicket start_send(ByteView bytes, int to) override {
    sends_to_ = sends_to_ == kNobody || sends_to_ == to ? to : kSeveral;
    return group_->start_send(bytes, to);
  }
  void finish_sends(SendTicket last) override {
    const Activity::Wait wait(activity_, Operation::send, name_, calls_, sends_to_);
    group_->finish_sends(last);
  }
  void receive(ByteSpan bytes, int from) override {
    const Activity::Wait wait(activity_, Operation::receive, name_, calls_, from);
    group_->receive(bytes, from);
  }
  void barrier() override {
    const Activity::Wait wait(activity_, Operation::barrier, name_, ++calls_);
    group_->barrier();
  }
  Memory* message_memory() override { return group_->message_memory(); }
  std::unique_ptr<Group> split(int color, const std::string& name) override {
    const Activity::Wait wait(activity_, Operation::split, name_, ++calls_);
    const std::uint64_t part[] = {name_, ++splits_};
    return std::make_unique<WatchedGroup>(group_->split(color, name), activity_, rank_,
                                          digest_of(std::as_bytes(std::span(part))).low, on_group_);
  }

 private:
  std::unique_ptr<Group> group_;
  Activity& activity_;
  int rank_;
  OnGroup on_group_;
  std::uint64_t name_ = 0;
  std::int64_t calls_ = 0;  ///< collective operations begun: equal on all ranks
  std::uint64_t splits_ = 0;
  static constexpr int kNobody = -2;
  static constexpr int kSeveral = -1;
  int sends_to_ = kNobody;  ///< of all sends so far
};

}  // namespace

std::unique_ptr<Group> make_watched_group(std::unique_ptr<Group> group, Activity& activity,
                                          int rank, std::uint64_t parent, const OnGroup& on_group) {
  return std::make_unique<WatchedGroup>(std::move(group), activity, rank, parent, on_group);
}

}  // namespace weft
