#include "app/output/file_lock.h"

#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <cstdio>
#include <thread>

#include "base/error.h"
#include "base/message.h"

namespace weft {

bool lock_exclusively(const File& file, std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds pause(50);
  const Clock::time_point deadline = Clock::now() + patience;
  for (;;) {
    if (::flock(file.fd(), LOCK_EX | LOCK_NB) == 0) return true;
    // File systems say in many ways that they have no locks.
    if (errno != EWOULDBLOCK && errno != EINTR) {
      print_error(fmt::format("{}: no file locks here ({}); do not start a second run on it",
                              file.path(), errno_text()));
      return true;
    }
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace weft
