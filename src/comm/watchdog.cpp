#include "comm/watchdog.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace weft {

Watchdog::Watchdog(double seconds, std::string who) : patience_(seconds), who_(std::move(who)) {
  if (seconds > 0) thread_ = std::thread([this] { watch(); });
}

void Watchdog::stop() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Watchdog::beat(std::string doing) {
  const std::lock_guard lock(mutex_);
  last_beat_ = Clock::now();
  doing_ = std::move(doing);
}

void Watchdog::watch() {
  std::unique_lock lock(mutex_);
  while (!ended_) {
    const auto deadline = last_beat_ + std::chrono::duration_cast<Clock::duration>(patience_);
    if (wake_.wait_until(lock, deadline, [this] { return ended_; })) return;
    if (Clock::now() < last_beat_ + patience_) continue;
    fmt::print(stderr,
               "weft: {}: no progress for {:.0f} s in {} (engine.watchdog_seconds): a peer has "
               "stopped or cannot be reached; run the job again to go on\n",
               who_, patience_.count(), doing_);
    std::fflush(stderr);
    // Not MPI_Abort: another thread may be inside MPI. The launcher ends the other ranks.
    ::_exit(1);
  }
}

}  // namespace weft
