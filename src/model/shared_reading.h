// Replicas that share one reading of the model files: one reads, the others receive.
#pragma once

#include <functional>

#include "base/types.h"
#include "comm/group.h"
#include "model/shard_reader.h"

namespace weft {

/// Reads rows with `read` on the first rank of `peers` and gives them to `sink` on every rank, run
/// by run. All ranks of the group must call it for the same rows. Every run travels with a digest
/// of what was read and checked: one that arrives with other bytes is an Error. Where `read` throws
/// UserError or Stopped, every rank throws it.
void read_shared(Group& peers, const std::function<void(const RowSink&)>& read,
                 const RowSink& sink);

}  // namespace weft
