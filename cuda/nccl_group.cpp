#include "cuda/nccl_group.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

#include "base/error.h"
#include "cuda/nccl_comm.h"
#include "cuda/nccl_memory.h"

namespace weft {
namespace {

class NcclGroup final : public Group {
 public:
  NcclGroup(std::unique_ptr<Group> group, GpuOps& ops, const NcclSetting& setting,
            const std::string& name)
      : group_(std::move(group)),
        ops_(ops),
        setting_(setting),
        comm_(std::make_unique<NcclComm>(
            setting, fmt::format("{} (rank {} of {})", name, rank(), size()))) {}

  void start() {
    ncclUniqueId id{};
    if (rank() == 0 && setting_.api.GetUniqueId(&id) != ncclSuccess) fail("ncclGetUniqueId failed");
    group_->broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
    comm_->start(size(), rank(), id);
    started();
  }

  [[nodiscard]] int rank() const override { return group_->rank(); }
  [[nodiscard]] int size() const override { return group_->size(); }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) override {
    if (!on_device(send, recv)) return group_->all_gather(send, recv, counts);
    const auto me = static_cast<std::size_t>(rank());
    bool equal = true;
    for (const Bytes count : counts) equal = equal && count == counts.front();
    run("all_gather", [&] {
      if (equal) {
        return comm_->check_call(setting_.api.AllGather(send.data(), recv.data(), counts[me],
                                                        ncclInt8, comm_->get(), stream()));
      }
      Bytes at = 0;
      for (int peer = 0; peer < size(); ++peer) {
        exchange(send.first(counts[me]), recv.subspan(at, counts[static_cast<std::size_t>(peer)]),
                 peer);
        at += counts[static_cast<std::size_t>(peer)];
      }
    });
  }
  void all_to_all(ByteView send, std::span<const Bytes> send_counts, ByteSpan recv,
                  std::span<const Bytes> recv_counts) override {
    if (!on_device(send, recv)) return group_->all_to_all(send, send_counts, recv, recv_counts);
    run("all_to_all", [&] {
      Bytes from = 0;
      Bytes to = 0;
      for (int peer = 0; peer < size(); ++peer) {
        const auto p = static_cast<std::size_t>(peer);
        exchange(send.subspan(from, send_counts[p]), recv.subspan(to, recv_counts[p]), peer);
        from += send_counts[p];
        to += recv_counts[p];
      }
    });
  }
  void broadcast(ByteSpan bytes, int root) override {
    if (!owns(bytes)) return group_->broadcast(bytes, root);
    run("broadcast", [&] {
      comm_->check_call(setting_.api.Broadcast(bytes.data(), bytes.data(), bytes.size(), ncclInt8,
                                               root, comm_->get(), stream()));
    });
  }
  SendTicket start_send(ByteView bytes, int to) override {
    if (!owns(bytes)) return group_->start_send(bytes, to);
    run("send", [&] { exchange(bytes, {}, to); });
    return 0;  // the stream keeps what overwrites the bytes behind the send
  }
  void finish_sends(SendTicket last) override { group_->finish_sends(last); }
  void receive(ByteSpan bytes, int from) override {
    if (!owns(bytes)) return group_->receive(bytes, from);
    run("receive", [&] { exchange({}, bytes, from); });
  }
  void barrier() override { group_->barrier(); }
  Memory* message_memory() override { return memory_.get(); }

  std::unique_ptr<Group> split(int color, const std::string& name) override {
    auto part = std::make_unique<NcclGroup>(group_->split(color, name), ops_, setting_, name);
    part->comm_->start_split(*comm_, color, rank());
    part->started();
    return part;
  }

 private:
  void started() {
    if (setting_.symmetric && size() > 1) {
      memory_ = std::make_unique<NcclMemory>(setting_.api, *comm_, *group_, ops_);
    }
  }

  /// Whether an operation is NCCL's: all ranks must find the same, also one that sends or receives
  /// nothing and whose span stands at the end of a buffer.
  [[nodiscard]] bool on_device(ByteView send, ByteView recv) const {
    return owns(recv) || owns(send);
  }
  [[nodiscard]] bool owns(ByteView bytes) const {
    return ops_.owns(bytes) || (memory_ && memory_->owns(bytes));
  }
  [[nodiscard]] cudaStream_t stream() const { return static_cast<cudaStream_t>(ops_.stream()); }

  void run(const char* operation, const std::function<void()>& calls) {
    if (!ops_.recording()) return comm_->run(operation, calls);
    comm_->record(operation, calls);
    ops_.note_recorded(comm_.get(), [comm = comm_.get()] { comm->replayed(); });
  }

  void exchange(ByteView send, ByteSpan recv, int peer) {
    if (!send.empty()) {
      comm_->check_call(
          setting_.api.Send(send.data(), send.size(), ncclInt8, peer, comm_->get(), stream()));
    }
    if (!recv.empty()) {
      comm_->check_call(
          setting_.api.Recv(recv.data(), recv.size(), ncclInt8, peer, comm_->get(), stream()));
    }
  }

  std::unique_ptr<Group> group_;
  GpuOps& ops_;
  NcclSetting setting_;
  std::unique_ptr<NcclMemory> memory_;  ///< null unless messages have memory of their own
  std::unique_ptr<NcclComm> comm_;      ///< ends before its windows' memory
};

}  // namespace

std::unique_ptr<Group> make_nccl_group(std::unique_ptr<Group> group, GpuOps& ops,
                                       const NcclSetting& setting) {
  auto nccl = std::make_unique<NcclGroup>(std::move(group), ops, setting, "replica");
  nccl->start();
  return nccl;
}

}  // namespace weft
