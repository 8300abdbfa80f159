#include "comm/launch.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>

namespace weft {
namespace {

/// The most specific first: mpirun may itself run within a task of srun.
constexpr std::array<const char*, 5> kRankVariables = {
    "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID"};
constexpr std::array<const char*, 3> kSizeVariables = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE",
                                                       "MV2_COMM_WORLD_SIZE"};

constexpr const char* kHowToStart =
    "start it with srun --mpi=pmix (srun --mpi=list says what this Slurm has; in slurm/weft.sbatch "
    "set WEFT_MPI), or with the mpirun of the MPI that weft was built with";

int number(const char* text) { return text == nullptr ? 0 : std::atoi(text); }

}  // namespace

Launch launch_of(const Variables& variables) {
  Launch launch;
  for (const char* variable : kRankVariables) {
    if (launch.rank < 0 && variables(variable) != nullptr)
      launch.rank = number(variables(variable));
  }
  const auto take_ranks = [&](const char* variable) {
    if (launch.ranks > 0 || variables(variable) == nullptr) return;
    launch.ranks = number(variables(variable));
    launch.ranks_variable = variable;
  };
  for (const char* variable : kSizeVariables) take_ranks(variable);
  const bool is_step =
      variables("SLURM_STEP_ID") != nullptr || variables("SLURM_STEPID") != nullptr;
  // Outside of steps, as in a batch script, SLURM_NTASKS counts tasks that are still to be started.
  if (is_step) {
    take_ranks("SLURM_STEP_NUM_TASKS");
    take_ranks("SLURM_NTASKS");
  } else if (launch.ranks == 0) {
    launch.waiting_tasks = number(variables("SLURM_NTASKS"));
  }
  launch.lacks_pmi = is_step && launch.ranks > 1 && variables("PMIX_RANK") == nullptr &&
                     variables("OMPI_COMM_WORLD_RANK") == nullptr;
  return launch;
}

const Launch& own_launch() {
  static const Launch launch = launch_of([](const char* name) { return std::getenv(name); });
  return launch;
}

std::optional<std::string> doubtful_launch(const Launch& launch) {
  if (!launch.lacks_pmi) return std::nullopt;
  return fmt::format("srun has started {} tasks without PMIx: if MPI does not start now, {}",
                     launch.ranks, kHowToStart);
}

std::optional<std::string> lone_ranks(const Launch& launch, int world_size) {
  if (world_size != 1 || launch.ranks <= 1) return std::nullopt;
  return fmt::format(
      "{} processes were started ({}), but MPI knows of one: they do not find each "
      "other, and each would do the whole job; {}",
      launch.ranks, launch.ranks_variable, kHowToStart);
}

}  // namespace weft
