#include "support/rendezvous_group.h"

#include <unistd.h>

#include <deque>
#include <utility>

namespace weft::test {
namespace {

/// Every receive is acknowledged, in a group of its own: acknowledgements must not mix with
/// messages between the same two ranks.
class RendezvousGroup final : public Group {
 public:
  explicit RendezvousGroup(std::unique_ptr<Group> group)
      : group_(std::move(group)), acknowledgements_(group_->split(0)) {}

  [[nodiscard]] int rank() const override { return group_->rank(); }
  [[nodiscard]] int size() const override { return group_->size(); }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) override {
    group_->all_gather(send, recv, counts);
  }
  void all_to_all(ByteView send, std::span<const Bytes> send_counts, ByteSpan recv,
                  std::span<const Bytes> recv_counts) override {
    group_->all_to_all(send, send_counts, recv, recv_counts);
  }
  void broadcast(ByteSpan bytes, int root) override { group_->broadcast(bytes, root); }
  SendTicket start_send(ByteView bytes, int to) override {
    sent_.push_back({group_->start_send(bytes, to), to});
    return sent_.back().ticket;
  }
  void finish_sends(SendTicket last) override {
    while (!sent_.empty() && sent_.front().ticket <= last) {
      std::byte received{};
      acknowledgements_->receive({&received, 1}, sent_.front().to);
      sent_.pop_front();
    }
    group_->finish_sends(last);
  }
  void receive(ByteSpan bytes, int from) override {
    static constexpr std::byte kReceived{1};
    group_->receive(bytes, from);
    acknowledgements_->start_send({&kReceived, 1}, from);
  }
  void barrier() override { group_->barrier(); }
  std::unique_ptr<Group> split(int color, const std::string& name) override {
    return make_rendezvous_group(group_->split(color, name));
  }

 private:
  struct Sent {
    SendTicket ticket;
    int to;
  };

  std::unique_ptr<Group> group_;
  std::unique_ptr<Group> acknowledgements_;
  std::deque<Sent> sent_;  ///< not known to be received, oldest first
};

}  // namespace

std::unique_ptr<Group> make_rendezvous_group(std::unique_ptr<Group> group) {
  return std::make_unique<RendezvousGroup>(std::move(group));
}

Deadline::Deadline(unsigned seconds) { alarm(seconds); }
Deadline::~Deadline() { alarm(0); }

}  // namespace weft::test
