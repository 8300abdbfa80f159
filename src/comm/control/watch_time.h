// The watchdog's time in looks.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>

namespace weft {

/// A service thread looks once in each `period`; what lasts `limit` looks lasts too long. A limit
/// of 0 is never reached.
struct WatchTime {
  using Seconds = std::chrono::duration<double>;

  /// Looks in the watchdog's time, at least.
  static constexpr int kLooks = 10;

  /// `watchdog_seconds` 0: no watchdog.
  explicit WatchTime(double watchdog_seconds)
      : seconds(watchdog_seconds),
        period(watchdog_seconds <= 0 ? Seconds(1)
                                     : std::min(Seconds(1), Seconds(watchdog_seconds / kLooks))),
        limit(static_cast<int>(std::lround(std::ceil(seconds / period.count() - 1e-9)))) {}

  double seconds;
  Seconds period;
  int limit;
};

}  // namespace weft
