#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "app/cli.h"
#include "app/exit_status.h"
#include "base/error.h"

namespace weft {
namespace {

/// Where launchers tell a process its rank, the most specific first.
constexpr std::array<const char*, 5> kRankVariables = {
    "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID"};

/// The exit status of this process when all ranks agree on `status`: the first rank's speaks for
/// them. mpirun ends every rank as soon as one fails, perhaps before the first one's message is
/// out, and Open MPI 4.1's crashes now and then when several fail at once.
int status_of_all(int status) { return launched_as_rank_zero() ? status : kExitSuccess; }

}  // namespace

bool launched_as_rank_zero() {
  for (const char* variable : kRankVariables) {
    const char* rank = std::getenv(variable);
    if (rank != nullptr) return std::string_view(rank) == "0";
  }
  return true;
}

int run_guarded(const std::function<int()>& body) {
  try {
    return status_of_all(body());
  } catch (const UserError& error) {
    if (launched_as_rank_zero()) fmt::print(stderr, "weft: {}\n", error.what());
    return status_of_all(kExitUserError);
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft: error: {}\n", error.what());
    return kExitFailure;
  }
}

}  // namespace weft
