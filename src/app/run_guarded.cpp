#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <thread>

#include "app/commands/cli.h"
#include "app/exit_status.h"
#include "base/error.h"
#include "base/message.h"

namespace weft {
namespace {

/// Where launchers tell a process its rank, the most specific first.
constexpr std::array<const char*, 5> kRankVariables = {
    "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID"};

/// What a launcher needs to pass on the first rank's message before it ends everybody.
constexpr std::chrono::milliseconds kHeadStart(500);

/// The rank as the launcher tells it; null without a launcher.
const char* rank_variable() {
  for (const char* variable : kRankVariables) {
    const char* rank = std::getenv(variable);
    if (rank != nullptr) return rank;
  }
  return nullptr;
}

}  // namespace

bool launched_as_rank() { return rank_variable() != nullptr; }

int launched_rank() {
  const char* rank = rank_variable();
  return rank == nullptr ? -1 : std::atoi(rank);
}

bool launched_as_rank_zero() {
  const char* rank = rank_variable();
  return rank == nullptr || std::string_view(rank) == "0";
}

int report_bad_command_line(std::string_view message) {
  if (launched_as_rank_zero()) {
    print_error(message);
  } else {
    std::this_thread::sleep_for(kHeadStart);
  }
  return kExitUserError;
}

int run_guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const UserError& error) {
    print_error(error.what());
    return kExitUserError;
  } catch (const std::exception& error) {
    print_error(fmt::format("error: {}", error.what()));
    return kExitFailure;
  }
}

}  // namespace weft
