// Ends a job whose ranks wait for one that will not come.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "comm/group.h"

namespace weft {

/// A thread that looks at what its rank waits for. When one wait lasts `seconds`, because a peer
/// has stopped or a network is gone, it prints who waits and in what, and ends this process with
/// status 1; the launcher then ends all other ranks. Nothing is lost: finished rows are in the
/// journal.
///
/// Only waits count: a rank that computes for hours is left alone. Time in which this process
/// itself was stopped does not count either.
class Watchdog {
 public:
  /// `who` names this rank in the message. 0 seconds: no watchdog.
  Watchdog(double seconds, std::string who);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

  /// For as long as it lives, its rank waits in an operation.
  class Wait {
   public:
    Wait(Watchdog& watchdog, const char* operation) : watchdog_(watchdog) {
      watchdog_.enter(operation);
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait() { watchdog_.enter(nullptr); }

   private:
    Watchdog& watchdog_;
  };

 private:
  void enter(const char* operation);
  void watch();

  double seconds_;
  std::string who_;
  std::mutex mutex_;
  std::condition_variable wake_;
  const char* operation_ = nullptr;  ///< null: not waiting
  long waits_ = 0;                   ///< how many waits have begun or ended
  bool ended_ = false;
  std::thread thread_;
};

/// The same group, with every operation watched. `watchdog` must outlive it and what is split off.
std::unique_ptr<Group> make_watched_group(std::unique_ptr<Group> group, Watchdog& watchdog);

}  // namespace weft
