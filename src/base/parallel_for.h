// Independent pieces of work, shared out to a few threads.
#pragma once

#include <cstddef>
#include <functional>

namespace weft {

/// Calls work(lane, item) once for each item of [0, items), from `lanes` threads at a time (lane 0
/// is the caller); a lane takes the next item when it is done with one. When calls throw, no item
/// is begun any more, and when all threads have returned, the exception of the lowest such item is
/// thrown: the one that a single lane would meet.
void parallel_for(int threads, std::size_t items,
                  const std::function<void(int, std::size_t)>& work);

}  // namespace weft
