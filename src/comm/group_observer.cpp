#include "comm/group_observer.h"

#include <utility>

namespace weft {
namespace {

class ObservedGroup final : public Group {
 public:
  /// `owned` may be null: then `group` belongs to someone else.
  ObservedGroup(Group& group, std::unique_ptr<Group> owned, std::unique_ptr<GroupObserver> observer)
      : owned_(std::move(owned)), group_(group), observer_(std::move(observer)) {}

  [[nodiscard]] int rank() const override { return group_.rank(); }
  [[nodiscard]] int size() const override { return group_.size(); }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) override {
    const Told told(*observer_, {.operation = Operation::all_gather, .received = counts});
    group_.all_gather(send, recv, counts);
  }
  void all_to_all(ByteView send, std::span<const Bytes> send_counts, ByteSpan recv,
                  std::span<const Bytes> recv_counts) override {
    const Told told(
        *observer_,
        {.operation = Operation::all_to_all, .sent = send_counts, .received = recv_counts});
    group_.all_to_all(send, send_counts, recv, recv_counts);
  }
  void broadcast(ByteSpan bytes, int root) override {
    const Told told(*observer_,
                    {.operation = Operation::broadcast, .bytes = bytes.size(), .peer = root});
    group_.broadcast(bytes, root);
  }
  SendTicket start_send(ByteView bytes, int to) override {
    observer_->started({.operation = Operation::send, .bytes = bytes.size(), .peer = to});
    return group_.start_send(bytes, to);
  }
  void finish_sends(SendTicket last) override {
    const Told told(*observer_, {.operation = Operation::send});
    group_.finish_sends(last);
  }
  void receive(ByteSpan bytes, int from) override {
    const Told told(*observer_,
                    {.operation = Operation::receive, .bytes = bytes.size(), .peer = from});
    group_.receive(bytes, from);
  }
  void barrier() override {
    const Told told(*observer_, {.operation = Operation::barrier});
    group_.barrier();
  }
  Memory* message_memory() override { return group_.message_memory(); }
  std::unique_ptr<Group> split(int color, const std::string& name) override {
    const Told told(*observer_, {.operation = Operation::split});
    std::unique_ptr<Group> part = group_.split(color, name);
    std::unique_ptr<GroupObserver> observer = observer_->of_part(*part);
    return observed_group(std::move(part), std::move(observer));
  }

 private:
  class Told {
   public:
    Told(GroupObserver& observer, const GroupCall& call) : observer_(observer), call_(call) {
      observer_.begin(call_);
    }
    Told(const Told&) = delete;
    Told& operator=(const Told&) = delete;
    ~Told() { observer_.end(call_); }

   private:
    GroupObserver& observer_;
    GroupCall call_;
  };

  std::unique_ptr<Group> owned_;
  Group& group_;
  std::unique_ptr<GroupObserver> observer_;
};

}  // namespace

std::unique_ptr<Group> observed_group(std::unique_ptr<Group> group,
                                      std::unique_ptr<GroupObserver> observer) {
  Group& observed = *group;
  return std::make_unique<ObservedGroup>(observed, std::move(group), std::move(observer));
}

std::unique_ptr<Group> observed_group(Group& group, std::unique_ptr<GroupObserver> observer) {
  return std::make_unique<ObservedGroup>(group, nullptr, std::move(observer));
}

}  // namespace weft
