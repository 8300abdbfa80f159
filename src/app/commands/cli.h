// The command line.
#pragma once

#include <functional>
#include <string_view>

namespace weft {

/// Parses the command line and runs the command; returns the exit status. Help and version go to
/// standard output; a bad command line gives one message on standard error and status 2.
int run_command_line(int argc, const char* const* argv);

/// Calls `body` and turns what it throws into a message on standard error and an exit status: 2 for
/// UserError, 1 for everything else. (Commands that use MPI settle their errors themselves; see
/// comm/session.h.)
int run_guarded(const std::function<int()>& body);

/// Prints what is wrong with the command line; gives status 2. Under a launcher, where every rank
/// was given the same command line, only rank 0 prints.
int report_bad_command_line(std::string_view message);

/// Whether the launcher's environment says that this process is one of its ranks.
bool launched_as_rank();

/// Whether the launcher's environment (Open MPI, PMIx, PMI, Slurm) says that this is rank 0, or
/// that there is no launcher.
bool launched_as_rank_zero();

}  // namespace weft
