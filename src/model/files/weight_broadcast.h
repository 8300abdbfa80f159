// Replicas that share one reading of the model files: one reads, the others receive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "comm/group.h"

namespace weft {

/// Takes rows of one of several tasks (see RowSink): the task's number comes first.
using TaskSink = std::function<void(std::size_t task, std::int64_t first_row,
                                    std::span<const std::byte> rows, std::int64_t row_count)>;

/// Reads rows with `read` on the first rank of `peers` and gives them to `sink` on every rank, run
/// by run. All ranks of the group must call it for the same tasks.
///
/// `read` may call what it is given from several threads at once; each is held up until its run is
/// sent, and calls `sink` meanwhile. The other ranks call `sink` from `threads` threads; from one,
/// it is in the order of sending. The calling thread alone talks to other ranks, on all of them.
/// Every run travels with a digest of what was read and checked: one that arrives with other bytes
/// is an Error. Where `read` throws UserError or Cancelled, every rank throws it.
void read_shared(Group& peers, int threads, const std::function<void(const TaskSink&)>& read,
                 const TaskSink& sink);

}  // namespace weft
