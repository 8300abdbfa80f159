#include "base/parallel_for.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"

namespace weft {

void parallel_for(int threads, std::size_t items,
                  const std::function<void(int, std::size_t)>& work) {
  require(threads >= 1, "{} threads", threads);
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> failed = false;
  std::mutex failing;
  std::exception_ptr error;
  std::size_t error_item = 0;
  const auto run = [&](int thread) {
    // Items are taken in ascending order, so that all before a failing one are begun before it.
    while (!failed) {
      const std::size_t item = next++;
      if (item >= items) return;
      try {
        work(thread, item);
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
    for (int thread = 1; thread < threads && static_cast<std::size_t>(thread) < items; ++thread) {
      others.emplace_back(run, thread);
    }
    run(0);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace weft
