#include "cuda/nccl_comm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <optional>
#include <utility>

#include "base/error.h"

namespace weft {

NcclComm::~NcclComm() {
  ended_ = true;
  if (watcher_.joinable()) watcher_.join();
  for (const Pending& pending : pending_) setting_.marks->give_back(pending.done);
  if (comm_ == nullptr) return;
  // A rank that is failing must not wait for the others, as finalizing would.
  if (std::uncaught_exceptions() > 0) {
    setting_.api.CommAbort(comm_);
    return;
  }
  operation_ = "ncclCommFinalize";
  if (settle(setting_.api.CommFinalize(comm_)) == ncclSuccess) setting_.api.CommDestroy(comm_);
}

void NcclComm::start(int ranks, int rank, const ncclUniqueId& id) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  operation_ = "ncclCommInitRankConfig";
  check(settle(setting_.api.CommInitRankConfig(&comm_, ranks, id, rank, &config)));
  watch();
}

void NcclComm::start_split(NcclComm& whole, int color, int key) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  whole.operation_ = "ncclCommSplit";
  whole.check(whole.settle(setting_.api.CommSplit(whole.comm_, color, key, &comm_, &config)));
  operation_ = "ncclCommSplit";
  check(settle(ncclInProgress));
  watch();
}

void NcclComm::run(const char* operation, const std::function<void()>& calls) {
  ++sequence_;
  call(operation, calls);
  expect(operation);
}

void NcclComm::record(const char* operation, const std::function<void()>& calls) {
  call(operation, calls);
}

void NcclComm::replayed() {
  operation_ = "recorded step";
  ++sequence_;
  expect(operation_);
}

void NcclComm::open_window(void* data, Bytes bytes) {
  constexpr int kSymmetric = 1;  // NCCL_WIN_COLL_SYMMETRIC
  operation_ = "ncclCommWindowRegister";
  void* window = nullptr;
  check(settle(setting_.api.CommWindowRegister(comm_, data, bytes, &window, kSymmetric)));
}

void NcclComm::call(const char* operation, const std::function<void()>& calls) {
  operation_ = operation;
  check(setting_.api.GroupStart());
  try {
    calls();
  } catch (...) {
    // A group that stays open would swallow the next calls, those that end the communicator too.
    (void)setting_.api.GroupEnd();
    throw;
  }
  check(settle(setting_.api.GroupEnd()));
}

/// The watcher waits for the end of what is on the stream.
void NcclComm::expect(const char* operation) {
  const StreamMarks::Mark done = setting_.marks->set();
  const std::lock_guard lock(mutex_);
  pending_.push_back({operation, sequence_, Clock::now(), done});
}

bool NcclComm::late(Clock::time_point since) const {
  return setting_.deadline > 0 &&
         std::chrono::duration<double>(Clock::now() - since).count() > setting_.deadline;
}

/// Waits until a call that may be in progress has ended.
ncclResult_t NcclComm::settle(ncclResult_t result) {
  const auto since = Clock::now();
  while (result == ncclInProgress) {
    if (late(since)) {
      give_up(operation_, sequence_, fmt::format("no end in {} s", setting_.deadline));
    }
    std::this_thread::yield();
    const ncclResult_t asked = setting_.api.CommGetAsyncError(comm_, &result);
    if (asked != ncclSuccess) return asked;
  }
  return result;
}

void NcclComm::check(ncclResult_t result) const {
  if (result == ncclSuccess) return;
  fail("{}: {} (number {}) in group {} failed: {}: {}", setting_.who, operation_, sequence_, group_,
       setting_.api.GetErrorString(result), setting_.api.GetLastError(comm_));
}

void NcclComm::watch() {
  watcher_ = std::thread([this] {
    // A new thread has device 0 until it says otherwise.
    try {
      setting_.marks->enter_thread();
    } catch (const std::exception& error) {
      give_up("watching", 0, error.what());
    }
    while (!ended_) {
      look();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
}

/// Forgets what is done; ends the process for what is late or has failed.
void NcclComm::look() {
  for (;;) {
    std::optional<Pending> oldest;
    {
      const std::lock_guard lock(mutex_);
      if (!pending_.empty()) oldest = pending_.front();
    }
    if (!oldest) return;
    bool done = false;
    try {
      done = setting_.marks->passed(oldest->done);
    } catch (const std::exception& error) {
      give_up(oldest->operation, oldest->sequence, error.what());
    }
    if (!done) {
      ncclResult_t result = ncclSuccess;
      const ncclResult_t asked = setting_.api.CommGetAsyncError(comm_, &result);
      if (asked != ncclSuccess) result = asked;
      if (result != ncclSuccess && result != ncclInProgress) {
        give_up(oldest->operation, oldest->sequence, setting_.api.GetErrorString(result));
      }
      if (late(std::max(oldest->since, idle_since_))) {
        give_up(oldest->operation, oldest->sequence,
                fmt::format("no end in {} s", setting_.deadline));
      }
      return;
    }
    setting_.marks->give_back(oldest->done);
    idle_since_ = Clock::now();
    const std::lock_guard lock(mutex_);
    pending_.pop_front();
  }
}

void NcclComm::give_up(const char* operation, std::uint64_t sequence,
                       const std::string& reason) const {
  // Every communicator may notice; the first one speaks, and ends the process.
  static std::atomic<bool> begun{false};
  while (begun.exchange(true)) std::this_thread::sleep_for(std::chrono::hours(1));
  fmt::print(stderr, "weft: error: {}: {} (number {}) in group {}: {}\n", setting_.who, operation,
             sequence, group_, reason);
  std::fflush(stderr);
  // Aborting lets the other ranks' kernels end, but may itself wait for a device that hangs.
  const auto aborted = std::make_shared<std::promise<void>>();
  std::thread([aborted, setting = setting_, comm = comm_] {
    try {
      setting.marks->enter_thread();
      setting.api.CommAbort(comm);
    } catch (const std::exception&) {
      // The device is gone; the process ends all the same.
    }
    aborted->set_value();
  }).detach();
  aborted->get_future().wait_for(std::chrono::seconds(kAbortSeconds));
  std::_Exit(1);
}

}  // namespace weft
