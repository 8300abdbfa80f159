#include "cuda/staged_group.h"

#include <deque>
#include <numeric>
#include <utility>
#include <vector>

namespace weft {
namespace {

Tensor bytes_at(const std::byte* data, Bytes count) {
  // Tensors count elements of four bytes here; all that the model sends is a multiple of that.
  require(count % 4 == 0, "{} bytes of a GPU's memory to be staged", count);
  return {const_cast<std::byte*>(data), DType::i32, {static_cast<std::int64_t>(count / 4)}};
}

Bytes sum(std::span<const Bytes> counts) {
  return std::accumulate(counts.begin(), counts.end(), Bytes{0});
}

class StagedGroup final : public Group {
 public:
  StagedGroup(std::unique_ptr<Group> group, GpuOps& ops) : group_(std::move(group)), ops_(ops) {}

  [[nodiscard]] int rank() const override { return group_->rank(); }
  [[nodiscard]] int size() const override { return group_->size(); }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) override {
    Arrival arrival(*this, recv.first(sum(counts)));
    group_->all_gather(outgoing(send, send_), arrival.host, counts);
    arrival.finish();
  }
  void all_to_all(ByteView send, std::span<const Bytes> send_counts, ByteSpan recv,
                  std::span<const Bytes> recv_counts) override {
    Arrival arrival(*this, recv.first(sum(recv_counts)));
    group_->all_to_all(outgoing(send.first(sum(send_counts)), send_), send_counts, arrival.host,
                       recv_counts);
    arrival.finish();
  }
  void broadcast(ByteSpan bytes, int root) override {
    Arrival arrival(*this, bytes);
    if (rank() == root && arrival.staged()) {
      ops_.download(bytes_at(bytes.data(), bytes.size()), arrival.host);
    }
    group_->broadcast(arrival.host, root);
    if (rank() != root) arrival.finish();
  }
  SendTicket start_send(ByteView bytes, int to) override {
    if (!ops_.owns(bytes)) return group_->start_send(bytes, to);
    // The bytes must stay until the send is finished: each has a place of its own.
    Sent sent;
    if (!spare_.empty()) {
      sent.stage = std::move(spare_.back());
      spare_.pop_back();
    }
    sent.ticket = group_->start_send(outgoing(bytes, sent.stage), to);
    sent_.push_back(std::move(sent));
    return sent_.back().ticket;
  }
  void finish_sends(SendTicket last) override {
    group_->finish_sends(last);
    while (!sent_.empty() && sent_.front().ticket <= last) {
      spare_.push_back(std::move(sent_.front().stage));
      sent_.pop_front();
    }
  }
  void receive(ByteSpan bytes, int from) override {
    Arrival arrival(*this, bytes);
    group_->receive(arrival.host, from);
    arrival.finish();
  }
  void barrier() override { group_->barrier(); }
  std::unique_ptr<Group> split(int color, const std::string& name) override {
    return std::make_unique<StagedGroup>(group_->split(color, name), ops_);
  }

 private:
  /// Bytes on their way from the host's memory.
  struct Sent {
    SendTicket ticket = 0;
    Buffer stage;
  };

  /// Where bytes arrive on their way to `to`.
  struct Arrival {
    Arrival(StagedGroup& owner, ByteSpan to) : group(owner), target(to), host(to) {
      if (to.empty() || !group.ops_.owns(to)) return;
      group.room(group.receive_, to.size());
      host = {group.receive_.data(), to.size()};
    }
    [[nodiscard]] bool staged() const { return host.data() != target.data(); }
    void finish() const {
      if (staged()) group.ops_.upload(host, bytes_at(target.data(), target.size()));
    }

    StagedGroup& group;
    ByteSpan target;
    ByteSpan host;
  };

  /// `bytes` where the host can read them, in `stage` if need be.
  ByteView outgoing(ByteView bytes, Buffer& stage) {
    if (bytes.empty() || !ops_.owns(bytes)) return bytes;
    room(stage, bytes.size());
    const ByteSpan host(stage.data(), bytes.size());
    ops_.download(bytes_at(bytes.data(), bytes.size()), host);
    return host;
  }

  void room(Buffer& stage, Bytes bytes) {
    if (stage.bytes() < bytes) stage = Buffer(ops_.host_memory(), bytes);
  }

  std::unique_ptr<Group> group_;
  GpuOps& ops_;
  Buffer send_;
  Buffer receive_;
  std::deque<Sent> sent_;      ///< not finished, oldest first
  std::vector<Buffer> spare_;  ///< of finished ones
};

}  // namespace

std::unique_ptr<Group> make_staged_group(std::unique_ptr<Group> group, GpuOps& ops) {
  return std::make_unique<StagedGroup>(std::move(group), ops);
}

}  // namespace weft
