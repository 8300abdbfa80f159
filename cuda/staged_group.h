// A group whose buffers may lie in a GPU's memory.
#pragma once

#include <memory>

#include "comm/group.h"
#include "cuda/gpu_ops.h"

namespace weft {

/// Moves bytes by `group`; those in the memory of `ops` go by way of the host's, so that any number
/// of ranks can share one GPU and no library for GPUs is needed. Operations see what the operators
/// have been asked for before, and operators that are asked for afterwards see what has arrived.
/// Groups that are split off are staged too. `ops` must outlive all of them.
std::unique_ptr<Group> make_staged_group(std::unique_ptr<Group> group, GpuOps& ops);

}  // namespace weft
