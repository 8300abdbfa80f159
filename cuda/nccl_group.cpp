#include "cuda/nccl_group.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "comm/session.h"
#include "cuda/nccl_api.cuh"
#include "cuda/platform/cuda_check.cuh"

namespace weft {
namespace {

using Clock = std::chrono::steady_clock;

const NcclApi& api() {
  const NcclApi* const found = nccl_api();
  if (found == nullptr) fail("libnccl.so.2 cannot be loaded: is its folder in LD_LIBRARY_PATH?");
  return *found;
}

/// One communicator with the thread that watches over it.
class NcclComm {
 public:
  /// `who` names this rank in messages.
  NcclComm(double deadline, std::string who) : deadline_(deadline), who_(std::move(who)) {}
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;
  ~NcclComm() {
    ended_ = true;
    if (watcher_.joinable()) watcher_.join();
    if (comm_ == nullptr) return;
    // A rank that is failing must not wait for the others, as finalizing would.
    if (std::uncaught_exceptions() > 0) {
      api().CommAbort(comm_);
    } else if (settle(api().CommFinalize(comm_)) == ncclSuccess) {
      api().CommDestroy(comm_);
    }
  }

  void start(int ranks, int rank, const ncclUniqueId& id) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    operation_ = "ncclCommInitRankConfig";
    check(settle(api().CommInitRankConfig(&comm_, ranks, id, rank, &config)));
    watch();
  }
  /// A part of `whole`; every rank of it must call this.
  void start_split(NcclComm& whole, int color, int key) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    whole.operation_ = "ncclCommSplit";
    whole.check(whole.settle(api().CommSplit(whole.comm_, color, key, &comm_, &config)));
    operation_ = "ncclCommSplit";
    check(settle(ncclInProgress));
    watch();
  }

  /// Puts an operation on the stream. `call` is a group of NCCL's calls.
  template <class Call>
  void run(const char* operation, cudaStream_t stream, const Call& call) {
    operation_ = operation;
    ++sequence_;
    check(api().GroupStart());
    call();
    check(settle(api().GroupEnd()));
    Event done;
    WEFT_CUDA(cudaEventCreateWithFlags(done.out(), cudaEventDisableTiming));
    WEFT_CUDA(cudaEventRecord(done.get(), stream));
    const std::lock_guard lock(mutex_);
    pending_.push_back({operation, sequence_, Clock::now(), std::move(done)});
  }

  /// For the calls inside a group: in progress is no error.
  void check_call(ncclResult_t result) {
    if (result != ncclInProgress) check(result);
  }
  [[nodiscard]] ncclComm_t get() const { return comm_; }

 private:
  struct Pending {
    const char* operation;
    std::uint64_t sequence;
    Clock::time_point since;
    Event done;
  };

  [[nodiscard]] bool late(Clock::time_point since) const {
    return deadline_ > 0 && std::chrono::duration<double>(Clock::now() - since).count() > deadline_;
  }

  /// Waits until a call that may be in progress has ended.
  ncclResult_t settle(ncclResult_t result) {
    const auto since = Clock::now();
    while (result == ncclInProgress) {
      if (late(since)) give_up(operation_, sequence_, fmt::format("no end in {} s", deadline_));
      std::this_thread::yield();
      const ncclResult_t asked = api().CommGetAsyncError(comm_, &result);
      if (asked != ncclSuccess) return asked;
    }
    return result;
  }

  void check(ncclResult_t result) {
    if (result == ncclSuccess) return;
    fail("{} (number {}) failed: {}: {}", operation_, sequence_, api().GetErrorString(result),
         api().GetLastError(comm_));
  }

  void watch() {
    watcher_ = std::thread([this] {
      while (!ended_) {
        look();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    });
  }

  /// Forgets what is done; ends the process for what is late or has failed.
  void look() {
    const std::lock_guard lock(mutex_);
    while (!pending_.empty()) {
      const cudaError_t state = cudaEventQuery(pending_.front().done.get());
      if (state == cudaErrorNotReady) break;
      if (state != cudaSuccess) {
        give_up(pending_.front().operation, pending_.front().sequence, cudaGetErrorString(state));
      }
      pending_.pop_front();
    }
    if (pending_.empty()) return;
    const Pending& oldest = pending_.front();
    ncclResult_t result = ncclSuccess;
    api().CommGetAsyncError(comm_, &result);
    if (result != ncclSuccess && result != ncclInProgress) {
      give_up(oldest.operation, oldest.sequence, api().GetErrorString(result));
    }
    if (late(oldest.since)) {
      give_up(oldest.operation, oldest.sequence, fmt::format("no end in {} s", deadline_));
    }
  }

  [[noreturn]] void give_up(const char* operation, std::uint64_t sequence,
                            const std::string& reason) {
    fmt::print(stderr, "weft: error: {}: {} (number {}): {}\n", who_, operation, sequence, reason);
    std::fflush(stderr);
    api().CommAbort(comm_);
    std::_Exit(1);
  }

  double deadline_;
  std::string who_;
  ncclComm_t comm_ = nullptr;
  const char* operation_ = "nothing";  ///< the latest
  std::uint64_t sequence_ = 0;         ///< its number on this communicator
  std::mutex mutex_;
  std::deque<Pending> pending_;
  std::atomic<bool> ended_{false};
  std::thread watcher_;
};

class NcclGroup final : public Group {
 public:
  NcclGroup(std::unique_ptr<Group> group, GpuOps& ops, double deadline)
      : group_(std::move(group)),
        ops_(ops),
        deadline_(deadline),
        comm_(std::make_unique<NcclComm>(
            deadline, fmt::format("rank {} of {} on {}", rank(), size(), host_name()))) {}

  void start() {
    ncclUniqueId id{};
    if (rank() == 0 && api().GetUniqueId(&id) != ncclSuccess) fail("ncclGetUniqueId failed");
    group_->broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
    comm_->start(size(), rank(), id);
  }

  [[nodiscard]] int rank() const override { return group_->rank(); }
  [[nodiscard]] int size() const override { return group_->size(); }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) override {
    if (!ops_.owns(recv.data())) return group_->all_gather(send, recv, counts);
    const auto me = static_cast<std::size_t>(rank());
    bool equal = true;
    for (const Bytes count : counts) equal = equal && count == counts.front();
    comm_->run("all_gather", stream(), [&] {
      if (equal) {
        return comm_->check_call(api().AllGather(send.data(), recv.data(), counts[me], ncclInt8,
                                                 comm_->get(), stream()));
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
    if (!ops_.owns(recv.data())) return group_->all_to_all(send, send_counts, recv, recv_counts);
    comm_->run("all_to_all", stream(), [&] {
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
    if (!ops_.owns(bytes.data())) return group_->broadcast(bytes, root);
    comm_->run("broadcast", stream(), [&] {
      comm_->check_call(api().Broadcast(bytes.data(), bytes.data(), bytes.size(), ncclInt8, root,
                                        comm_->get(), stream()));
    });
  }
  SendTicket start_send(ByteView bytes, int to) override {
    if (!ops_.owns(bytes.data())) return group_->start_send(bytes, to);
    comm_->run("send", stream(), [&] { exchange(bytes, {}, to); });
    return 0;  // the stream keeps what overwrites the bytes behind the send
  }
  void finish_sends(SendTicket last) override { group_->finish_sends(last); }
  void receive(ByteSpan bytes, int from) override {
    if (!ops_.owns(bytes.data())) return group_->receive(bytes, from);
    comm_->run("receive", stream(), [&] { exchange({}, bytes, from); });
  }
  void barrier() override { group_->barrier(); }

  std::unique_ptr<Group> split(int color) override {
    auto part = std::make_unique<NcclGroup>(group_->split(color), ops_, deadline_);
    part->comm_->start_split(*comm_, color, rank());
    return part;
  }

 private:
  [[nodiscard]] cudaStream_t stream() const { return static_cast<cudaStream_t>(ops_.stream()); }

  void exchange(ByteView send, ByteSpan recv, int peer) {
    if (!send.empty()) {
      comm_->check_call(
          api().Send(send.data(), send.size(), ncclInt8, peer, comm_->get(), stream()));
    }
    if (!recv.empty()) {
      comm_->check_call(
          api().Recv(recv.data(), recv.size(), ncclInt8, peer, comm_->get(), stream()));
    }
  }

  std::unique_ptr<Group> group_;
  GpuOps& ops_;
  double deadline_;
  std::unique_ptr<NcclComm> comm_;
};

}  // namespace

std::string nccl_release() {
  int version = 0;
  if (nccl_api() == nullptr || nccl_api()->GetVersion(&version) != ncclSuccess) return {};
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::unique_ptr<Group> make_nccl_group(std::unique_ptr<Group> group, GpuOps& ops,
                                       double deadline_seconds) {
  auto nccl = std::make_unique<NcclGroup>(std::move(group), ops, deadline_seconds);
  nccl->start();
  return nccl;
}

}  // namespace weft
