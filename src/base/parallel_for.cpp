#include "base/parallel_for.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"

namespace weft {

void share_out(int lanes, std::size_t items, const std::function<void(int, std::size_t)>& work) {
  require(lanes >= 1, "{} lanes", lanes);
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> failed = false;
  std::mutex failing;
  std::exception_ptr error;
  std::size_t error_item = 0;
  const auto run = [&](int lane) {
    // Items are taken in ascending order, so that all before a failing one are begun before it.
    while (!failed) {
      const std::size_t item = next++;
      if (item >= items) return;
      try {
        work(lane, item);
      } catch (...) {
        const std::lock_guard lock(failing);
        if (!error || item < error_item) {
          error = std::current_exception();
          error_item = item;
        }
        failed = true;
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (int lane = 1; lane < lanes && static_cast<std::size_t>(lane) < items; ++lane) {
      others.emplace_back(run, lane);
    }
    run(0);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace weft
