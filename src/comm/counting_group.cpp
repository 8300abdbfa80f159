#include "comm/counting_group.h"

#include <utility>

namespace weft {
namespace {

class CountingGroup final : public Group {
 public:
  /// `owned` may be null: then `group` belongs to someone else.
  CountingGroup(Group& group, std::unique_ptr<Group> owned, Primitive axis, Traffic& traffic)
      : owned_(std::move(owned)), group_(group), axis_(axis), traffic_(traffic) {}

  [[nodiscard]] int rank() const override { return group_.rank(); }
  [[nodiscard]] int size() const override { return group_.size(); }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) override {
    group_.all_gather(send, recv, counts);
    traffic_.all_gather(axis_, rank(), counts);
  }
  void all_to_all(ByteView send, std::span<const Bytes> send_counts, ByteSpan recv,
                  std::span<const Bytes> recv_counts) override {
    group_.all_to_all(send, send_counts, recv, recv_counts);
    traffic_.all_to_all(axis_, rank(), send_counts, recv_counts);
  }
  void broadcast(ByteSpan bytes, int root) override {
    group_.broadcast(bytes, root);
    traffic_.broadcast(axis_, rank(), size(), bytes.size(), root);
  }
  SendTicket start_send(ByteView bytes, int to) override {
    if (to != rank()) traffic_.send(axis_, bytes.size());
    return group_.start_send(bytes, to);
  }
  void finish_sends(SendTicket last) override { group_.finish_sends(last); }
  void receive(ByteSpan bytes, int from) override {
    group_.receive(bytes, from);
    if (from != rank()) traffic_.receive(axis_, bytes.size());
  }
  void barrier() override { group_.barrier(); }
  Memory* message_memory() override { return group_.message_memory(); }
  std::unique_ptr<Group> split(int color, const std::string& name) override {
    std::unique_ptr<Group> part = group_.split(color, name);
    Group& group = *part;
    return std::make_unique<CountingGroup>(group, std::move(part), axis_, traffic_);
  }

 private:
  std::unique_ptr<Group> owned_;
  Group& group_;
  Primitive axis_;
  Traffic& traffic_;
};

}  // namespace

std::unique_ptr<Group> make_counting_group(Group& group, Primitive axis, Traffic& traffic) {
  return std::make_unique<CountingGroup>(group, nullptr, axis, traffic);
}

}  // namespace weft
