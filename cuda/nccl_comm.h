// One of NCCL's communicators, with the thread that watches over it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/types.h"
#include "cuda/nccl_api.cuh"
#include "cuda/stream_marks.h"

namespace weft {

/// What the communicators of a rank have in common.
struct NcclSetting {
  const NcclApi& api;
  std::shared_ptr<StreamMarks> marks;  ///< on the stream of all operations
  double deadline = 0;                 ///< seconds; 0: for ever
  std::string who;                     ///< this rank in messages: "rank 3 of 8 on node7"
  bool symmetric = false;              ///< buffers for messages are windows
};

/// Starts without blocking. What takes longer than the deadline, and an operation on the stream
/// that ends in an error, ends the process (status 1) with a message that names the rank, the
/// group, the operation and its number; the communicator is aborted first, if that takes no more
/// than `kAbortSeconds`. An operation's time begins when it is on the stream and the communicator's
/// operation before it is done: work of others that the stream does in between counts.
class NcclComm {
 public:
  static constexpr int kAbortSeconds = 10;

  /// `group` names the communicator in messages: "tp (rank 1 of 4)".
  NcclComm(const NcclSetting& setting, std::string group)
      : setting_(setting), group_(std::move(group)) {}
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;
  /// Waits for the other ranks, unless an exception is on its way.
  ~NcclComm();

  /// Every rank must call it, with the id that one of them has made. Throws Error.
  void start(int ranks, int rank, const ncclUniqueId& id);
  /// Starts as a part of `whole`; every rank of that must call it. Throws Error.
  void start_split(NcclComm& whole, int color, int key);

  /// Puts an operation on the stream: `calls` are NCCL's calls, made as one group. Throws Error.
  void run(const char* operation, const std::function<void()>& calls);
  /// The same while the stream is recorded: the operation is done in replays.
  void record(const char* operation, const std::function<void()>& calls);
  /// A replay of what was recorded has been put on the stream: one operation, for whoever watches.
  void replayed();
  /// Makes memory from MemAlloc known to all ranks of the communicator, which must all do so, with
  /// as many bytes each, until its end. Without effect where devices cannot see each other's
  /// memory. Throws Error.
  void open_window(void* data, Bytes bytes);

  /// For a call inside a group: to be in progress is no error.
  void check_call(ncclResult_t result) {
    if (result != ncclInProgress) check(result);
  }
  [[nodiscard]] ncclComm_t get() const { return comm_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Pending {
    const char* operation;
    std::uint64_t sequence;
    Clock::time_point since;
    StreamMarks::Mark done;
  };

  void call(const char* operation, const std::function<void()>& calls);
  void expect(const char* operation);
  [[nodiscard]] bool late(Clock::time_point since) const;
  ncclResult_t settle(ncclResult_t result);
  void check(ncclResult_t result) const;
  void watch();
  void look();
  [[noreturn]] void give_up(const char* operation, std::uint64_t sequence,
                            const std::string& reason) const;

  NcclSetting setting_;
  std::string group_;
  ncclComm_t comm_ = nullptr;
  const char* operation_ = "nothing";  ///< the latest
  std::uint64_t sequence_ = 0;         ///< its number on this communicator
  std::mutex mutex_;              ///< of `pending_`; nothing of NCCL or CUDA is called under it
  std::deque<Pending> pending_;   ///< in the order of the stream
  Clock::time_point idle_since_;  ///< the watcher's: when the last operation was seen done
  std::atomic<bool> ended_{false};
  std::thread watcher_;
};

}  // namespace weft
