#include "comm/watchdog.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace weft {
namespace {

/// A wait is looked at that often before it counts as too long.
constexpr int kLooks = 10;

class WatchedGroup final : public Group {
 public:
  WatchedGroup(std::unique_ptr<Group> group, Watchdog& watchdog)
      : group_(std::move(group)), watchdog_(watchdog) {}

  [[nodiscard]] int rank() const override { return group_->rank(); }
  [[nodiscard]] int size() const override { return group_->size(); }

  void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) override {
    const Watchdog::Wait wait(watchdog_, "all-gather");
    group_->all_gather(send, recv, counts);
  }
  void all_to_all(ByteView send, std::span<const Bytes> send_counts, ByteSpan recv,
                  std::span<const Bytes> recv_counts) override {
    const Watchdog::Wait wait(watchdog_, "all-to-all");
    group_->all_to_all(send, send_counts, recv, recv_counts);
  }
  void broadcast(ByteSpan bytes, int root) override {
    const Watchdog::Wait wait(watchdog_, "broadcast");
    group_->broadcast(bytes, root);
  }
  void barrier() override {
    const Watchdog::Wait wait(watchdog_, "barrier");
    group_->barrier();
  }
  std::unique_ptr<Group> split(int color) override {
    return make_watched_group(group_->split(color), watchdog_);
  }

 private:
  std::unique_ptr<Group> group_;
  Watchdog& watchdog_;
};

}  // namespace

Watchdog::Watchdog(double seconds, std::string who) : seconds_(seconds), who_(std::move(who)) {
  if (seconds > 0) thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Watchdog::enter(const char* operation) {
  if (seconds_ <= 0) return;
  const std::lock_guard lock(mutex_);
  operation_ = operation;
  ++waits_;
}

void Watchdog::watch() {
  const std::chrono::duration<double> pause(seconds_ / kLooks);
  std::unique_lock lock(mutex_);
  long seen = waits_;
  int looks = 0;
  // Looks are counted, not time: a process that was stopped in between does not look.
  while (!wake_.wait_for(lock, pause, [this] { return ended_; })) {
    looks = operation_ != nullptr && waits_ == seen ? looks + 1 : 0;
    seen = waits_;
    if (looks < kLooks) continue;
    fmt::print(
        stderr,
        "weft: {}: no answer for {:.0f} s in {} (engine.watchdog_seconds): a peer has stopped "
        "or cannot be reached; run the job again to go on\n",
        who_, seconds_, operation_);
    std::fflush(stderr);
    // Not MPI_Abort: another thread is inside MPI. The launcher ends the other ranks.
    ::_exit(1);
  }
}

std::unique_ptr<Group> make_watched_group(std::unique_ptr<Group> group, Watchdog& watchdog) {
  return std::make_unique<WatchedGroup>(std::move(group), watchdog);
}

}  // namespace weft
