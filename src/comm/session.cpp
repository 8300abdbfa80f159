#include "comm/session.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/cancelled.h"
#include "base/error.h"
#include "base/message.h"
#include "comm/mpi_api.h"

namespace weft {
namespace {

constexpr int kUserErrorStatus = 2;

/// A mistake that every rank knows of.
class AgreedError : public UserError {
 public:
  using UserError::UserError;
};

/// Prints what went wrong here and ends every rank. MPI_Abort does not return.
[[noreturn]] void abort_job(const std::string& message, int status) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  std::fflush(stdout);
  print_error(fmt::format("rank {} on {}: {}", rank, host_name(), message));
  std::fflush(stderr);
  MPI_Abort(MPI_COMM_WORLD, status);
  std::abort();
}

/// Without mpirun, Open MPI starts a daemon beside the process, for MPI_Comm_spawn. It keeps the
/// process' output open and may outlive it: whoever waits for the end of that output waits on.
void make_do_without_daemon() { ::setenv("OMPI_MCA_ess_singleton_isolated", "1", 0); }

int largest(Group& world, int status) {
  std::vector<int> all(static_cast<std::size_t>(world.size()));
  world.all_gather(std::as_bytes(std::span(&status, 1)), std::as_writable_bytes(std::span(all)),
                   equal_counts(world, sizeof(int)));
  for (const int other : all) status = std::max(status, other);
  return status;
}

/// What is done before MPI starts, watched like the rest.
void settle(const SessionWatch& watch, JobControl& control) {
  control.end_on_stop(watch.status_at_stop);
  if (!watch.settle) return;
  control.activity().begin_phase(JobPhase::job_file);
  control.set_watchdog(watch.settle());
  control.activity().begin_phase(JobPhase::launching);
}

}  // namespace

int with_session(const SessionWatch& watch,
                 const std::function<int(Group& world, JobControl& control)>& body) {
  if (watch.rank < 0) make_do_without_daemon();
  JobControl control(watch.seconds, watch.stop_requested, watch.rank);
  settle(watch, control);
  int provided = 0;
  // Job control has a thread of its own that sends messages; it makes do with less.
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
  control.connect();
  int status = 1;
  try {
    const std::unique_ptr<Group> world = control.make_world();
    try {
      status = largest(*world, body(*world, control));
    } catch (const AgreedError& error) {
      if (world->rank() == 0) print_error(error.what());
      status = kUserErrorStatus;
    }
  } catch (const UserError& error) {
    abort_job(error.what(), kUserErrorStatus);
  } catch (const std::exception& error) {
    abort_job(error.what(), 1);
  } catch (...) {
    abort_job("unknown exception", 1);
  }
  control.close();
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Finalize();
  return rank == 0 ? status : 0;
}

bool threads_may_call_mpi() {
  int provided = 0;
  MPI_Query_thread(&provided);
  return provided == MPI_THREAD_MULTIPLE;
}

bool agree_unless_cancelled(Group& group, const std::function<void()>& action) {
  constexpr char kMistake = '!';  // tells an empty message from none
  const std::string stop = ".";
  std::string mine;
  try {
    action();
  } catch (const UserError& error) {
    mine = kMistake + std::string(error.what());
  } catch (const Cancelled&) {
    mine = stop;
  }
  const std::vector<std::string> all = gather_strings(group, mine);
  for (const std::string& text : all) {
    if (text.starts_with(kMistake)) throw AgreedError(text.substr(1));
  }
  return std::find(all.begin(), all.end(), stop) == all.end();
}

void agree(Group& group, const std::function<void()>& action) {
  require(agree_unless_cancelled(group, action), "a rank stopped where none can");
}

std::string host_name() {
  char text[MPI_MAX_PROCESSOR_NAME] = {};
  int length = 0;
  MPI_Get_processor_name(text, &length);
  return {text, static_cast<std::size_t>(length)};
}

HostShare host_share(Group& group) {
  const std::vector<std::string> hosts = gather_strings(group, host_name());
  const auto me = static_cast<std::size_t>(group.rank());
  const auto same = [&](const std::string& host) { return host == hosts[me]; };
  const auto before = hosts.begin() + group.rank();
  return {static_cast<int>(std::count_if(hosts.begin(), hosts.end(), same)),
          static_cast<int>(std::count_if(hosts.begin(), before, same))};
}

}  // namespace weft
