// Ends a job that makes no progress.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace weft {

/// A thread that waits for signs of life. When none comes for `seconds`, because a peer is stopped
/// or a network is gone, it prints who waits and in what, and ends this process with status 1; the
/// launcher then ends all other ranks. Nothing is lost: finished rows are in the journal.
class Watchdog {
 public:
  /// `who` names this rank in the message. 0 seconds: no watchdog.
  Watchdog(double seconds, std::string who);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() { stop(); }

  /// Ends the watch.
  void stop();

  /// Progress was made, and `doing` comes next. Cheap.
  void beat(std::string doing);

 private:
  using Clock = std::chrono::steady_clock;
  void watch();

  std::chrono::duration<double> patience_;
  std::string who_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Clock::time_point last_beat_ = Clock::now();
  std::string doing_ = "start";
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace weft
