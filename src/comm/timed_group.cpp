#include "comm/timed_group.h"

#include <utility>

namespace weft {
namespace {

class TimedGroup final : public Group {
 public:
  TimedGroup(std::unique_ptr<Group> group, Tracer& tracer)
      : group_(std::move(group)), tracer_(tracer) {}

  [[nodiscard]] int rank() const override { return group_->rank(); }
  [[nodiscard]] int size() const override { return group_->size(); }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) override {
    timed([&] { group_->all_gather(send, recv, counts); });
  }
  void all_to_all(ByteView send, std::span<const Bytes> send_counts, ByteSpan recv,
                  std::span<const Bytes> recv_counts) override {
    timed([&] { group_->all_to_all(send, send_counts, recv, recv_counts); });
  }
  void broadcast(ByteSpan bytes, int root) override {
    timed([&] { group_->broadcast(bytes, root); });
  }
  SendTicket start_send(ByteView bytes, int to) override { return group_->start_send(bytes, to); }
  void finish_sends(SendTicket last) override {
    timed([&] { group_->finish_sends(last); });
  }
  void receive(ByteSpan bytes, int from) override {
    timed([&] { group_->receive(bytes, from); });
  }
  void barrier() override {
    timed([&] { group_->barrier(); });
  }
  Memory* message_memory() override { return group_->message_memory(); }
  std::unique_ptr<Group> split(int color, const std::string& name) override {
    return make_timed_group(group_->split(color, name), tracer_);
  }

 private:
  template <class Call>
  void timed(const Call& call) {
    if (tracer_.current() == Phase::waiting || tracer_.current() == Phase::bubble) {
      call();
      return;
    }
    const Tracer::Scope scope(tracer_, Phase::communication);
    call();
  }

  std::unique_ptr<Group> group_;
  Tracer& tracer_;
};

}  // namespace

std::unique_ptr<Group> make_timed_group(std::unique_ptr<Group> group, Tracer& tracer) {
  return std::make_unique<TimedGroup>(std::move(group), tracer);
}

}  // namespace weft
