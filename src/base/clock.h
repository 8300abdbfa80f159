// Wall-clock time since a moment. For reports only: no clock decides what is computed.
#pragma once

#include <chrono>

namespace weft {

/// A stopwatch on the monotonic clock, running from its construction on.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

}  // namespace weft
