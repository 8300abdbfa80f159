// MPI's lifetime, and how a failure on one rank ends the job on all of them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "comm/control/job_control.h"
#include "comm/group.h"
#include "comm/launch.h"

namespace weft {

/// Runs `body` with the group of all ranks and returns this process's exit status. Rank 0 speaks
/// for all of them, the others return 0, since launchers end everybody as soon as one fails:
///   * the largest of `body`'s values, when it returns everywhere;
///   * 2 when `agree` found a mistake of the user's: it is printed once, by rank 0;
///   * 2 on every process when the launcher has started several and MPI knows of one alone.
/// Any other exception prints rank, host and message and aborts the whole job (with status 2 for a
/// UserError that the ranks had no chance to agree on, 1 otherwise), so that no rank is left
/// waiting. Starts and ends MPI; may be called once in a process. Without mpirun there is one rank.
/// All of it is watched by `control`, which is closed then. `launch`: this process', for what is
/// said before MPI knows better.
int with_session(JobControl& control, const Launch& launch,
                 const std::function<int(Group& world)>& body);

/// Whether threads beside the main one may call MPI, which `with_session` asks for and not every
/// MPI has (MPI_THREAD_MULTIPLE).
bool threads_may_call_mpi();

/// Calls `action` on every rank, then lets the ranks agree: when it threw UserError anywhere, every
/// rank throws UserError with the message of the lowest such rank. It begins with that rank's host
/// when there are several hosts and other ranks have not found the same. Every rank must call it.
void agree(Group& group, const std::function<void()>& action);

/// The same for an action that the job's stop may end with Cancelled: false on every rank when it
/// has on any. A mistake goes before a stop.
[[nodiscard]] bool agree_unless_cancelled(Group& group, const std::function<void()>& action);

/// The MPI library and its version, as it says itself, in one line.
std::string mpi_library();

/// The name of this host, as MPI knows it.
std::string host_name();

/// How many ranks of the group run on this rank's host, and which of them this rank is.
struct HostShare {
  int ranks = 1;
  int rank = 0;
};
HostShare host_share(Group& group);

}  // namespace weft
