// A group whose device buffers travel by NCCL.
#pragma once

#include <memory>
#include <string>

#include "comm/group.h"
#include "cuda/gpu_ops.h"

namespace weft {

/// Release of the NCCL library that this process finds: "2.28.9", or empty where there is none or
/// the program was built without its header.
std::string nccl_release();

/// Whether that library has what symmetric memory needs: NCCL 2.27 and later do.
bool nccl_has_windows();

/// Moves buffers in the memory of `ops` by NCCL on the operators' stream, all others by `group`.
/// Operations on device buffers return when they are on the stream, not when they are done: they
/// are in order with the operators, and a copy to the host waits for them.
///
/// The library is loaded when the first group is made; its communicators start without blocking,
/// and what takes longer than `deadline_seconds` (0: for ever), or ends in an error that NCCL
/// reports, ends the process with a message that names `who` ("rank 3 of 8 on node7"), the group,
/// the operation and its number, after aborting the communicator (cuda/nccl_comm.h); the launcher
/// then ends the other ranks. `ops` must outlive the group. Every rank of `group` must call it.
/// Throws Error where `nccl_release` is empty.
///
/// With `symmetric`, groups of several ranks have a `message_memory`, whose buffers NCCL's kernels
/// for symmetric memory gather without copies of its own; it needs `nccl_has_windows`. A buffer
/// there takes up to the granularity of multicast memory, which may be hundreds of MiB.
std::unique_ptr<Group> make_nccl_group(std::unique_ptr<Group> group, GpuOps& ops,
                                       double deadline_seconds, std::string who,
                                       bool symmetric = false);

struct NcclSetting;
/// The same over what `setting` names (cuda/nccl_comm.h): for tests.
std::unique_ptr<Group> make_nccl_group(std::unique_ptr<Group> group, GpuOps& ops,
                                       const NcclSetting& setting);

}  // namespace weft
