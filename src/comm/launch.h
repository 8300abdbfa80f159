// What the launcher's environment tells a process of the job that it is started for.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace weft {

/// How this process was started, as far as mpirun and srun tell.
struct Launch {
  int rank = -1;               ///< -1: no launcher
  int ranks = 0;               ///< 0: not told
  bool lacks_pmi = false;      ///< srun started several tasks and gave them no PMIx
  std::string ranks_variable;  ///< where `ranks` is from
  int waiting_tasks = 0;       ///< in a batch script: tasks of the Slurm job that srun would start
};

/// The environment, by name; null where a variable is not set.
using Variables = std::function<const char*(const char*)>;

/// Reads the variables of Open MPI, PMIx, PMI, MVAPICH and Slurm.
Launch launch_of(const Variables& variables);

/// This process' own; the environment is read once.
const Launch& own_launch();

/// What to say, before MPI starts, of a launch that Open MPI mostly refuses; nothing otherwise.
std::optional<std::string> doubtful_launch(const Launch& launch);

/// What is wrong when MPI knows of one rank, itself, and the launcher has started several: each
/// process would do the whole job. Nothing when `world_size` is as it should be.
std::optional<std::string> lone_ranks(const Launch& launch, int world_size);

}  // namespace weft
