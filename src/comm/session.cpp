#include "comm/session.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "base/cancelled.h"
#include "base/error.h"
#include "base/exit_status.h"
#include "base/message.h"
#include "comm/mpi_api.h"

namespace weft {
namespace {

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

/// What the first process needs to be heard before the others.
constexpr std::chrono::seconds kHeadStart(2);

/// Speaks first: what MPI says of it fills a page, for each rank.
void warn_of_launch(const Launch& launch) {
#ifdef OPEN_MPI
  const auto doubt = doubtful_launch(launch);
  if (!doubt) return;
  if (launch.rank == 0) {
    std::fprintf(stderr, "weft: %s\n", doubt->c_str());
  } else {
    std::this_thread::sleep_for(kHeadStart);
  }
#else
  static_cast<void>(launch);
#endif
}

/// Whether this process is one of several that do not know of each other; one of them says so.
bool refused_alone(const Launch& launch, int world_size) {
  const auto wrong = lone_ranks(launch, world_size);
  if (!wrong) return false;
  if (launch.rank <= 0) {
    std::fprintf(stderr, "weft: %s\n", wrong->c_str());
  } else {
    std::this_thread::sleep_for(kHeadStart);
  }
  return true;
}

/// What a rank found, with its host where not all have found it and there are several hosts.
std::string with_host(Group& group, const std::vector<std::string>& found, std::size_t rank,
                      const std::string& message) {
  const std::vector<std::string> hosts = gather_strings(group, host_name());
  const auto differs = [](const std::vector<std::string>& texts) {
    return std::any_of(texts.begin(), texts.end(),
                       [&](const std::string& text) { return text != texts.front(); });
  };
  return differs(found) && differs(hosts) ? "on " + hosts[rank] + ": " + message : message;
}

int largest(Group& world, int status) {
  std::vector<int> all(static_cast<std::size_t>(world.size()));
  world.all_gather(std::as_bytes(std::span(&status, 1)), std::as_writable_bytes(std::span(all)),
                   equal_counts(world, sizeof(int)));
  for (const int other : all) status = std::max(status, other);
  return status;
}

}  // namespace

int with_session(JobControl& control, const Launch& launch,
                 const std::function<int(Group& world)>& body) {
  if (launch.rank < 0) make_do_without_daemon();
  warn_of_launch(launch);
  int provided = 0;
  // Job control has a thread of its own that sends messages; it makes do with less.
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
  control.connect();
  int status = 1;
  try {
    const std::unique_ptr<Group> world = control.make_world();
    try {
      status =
          refused_alone(launch, world->size()) ? kExitUserError : largest(*world, body(*world));
    } catch (const AgreedError& error) {
      if (world->rank() == 0) print_error(error.what());
      status = kExitUserError;
    }
  } catch (const UserError& error) {
    abort_job(error.what(), kExitUserError);
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
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (!all[rank].starts_with(kMistake)) continue;
    throw AgreedError(with_host(group, all, rank, all[rank].substr(1)));
  }
  return std::find(all.begin(), all.end(), stop) == all.end();
}

void agree(Group& group, const std::function<void()>& action) {
  require(agree_unless_cancelled(group, action), "a rank stopped where none can");
}

std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string_view all(text, static_cast<std::size_t>(length));
  return std::string(all.substr(0, all.find_first_of(std::string_view("\n\0", 2))));
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
