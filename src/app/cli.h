// The command line.
#pragma once

#include <functional>

namespace weft {

/// Parses the command line and runs the command; returns the exit status. Help and version go to
/// standard output; a bad command line gives one message on standard error and status 2.
int run_command_line(int argc, const char* const* argv);

/// Calls `body` and turns what it throws into a message on standard error and an exit status: 2 for
/// UserError, 1 for everything else. Under a launcher, before MPI has started, only rank 0 prints a
/// user's mistake, as every rank makes the same one.
int run_guarded(const std::function<int()>& body);

/// Whether the launcher's environment (Open MPI, PMIx, PMI, Slurm) says that this is rank 0, or
/// that there is no launcher.
bool launched_as_rank_zero();

}  // namespace weft
