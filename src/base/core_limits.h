// How many cores a process may use, and what says so.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace weft {

/// One thing that limits the cores of a process.
struct CoreLimit {
  int cores = 1;       ///< at least one; of a quota the whole cores in it
  std::string what;    ///< for people: "affinity mask", "cpu.max of /job_7"
  std::string shared;  ///< equal for the processes of a host that share them; empty: this one alone
};

/// Where limits are looked up.
struct CoreSources {
  std::vector<int> mask;                             ///< the cores of the affinity mask
  std::filesystem::path root = "/";                  ///< the folder with proc/ and sys/
  std::function<const char*(const char*)> variable;  ///< the environment; null: not set
};

/// The sources of this process.
CoreSources own_core_sources();

/// All that limits the cores of this process:
///   * the affinity mask, from which the kernel leaves out what cpusets forbid;
///   * quotas of its control group and of those above it (cpu.max of version 2,
///     cpu.cfs_quota_us of version 1), which containers have;
///   * within a Slurm job SLURM_CPUS_PER_TASK, and SLURM_CPUS_ON_NODE for all tasks of a node.
/// Never empty.
std::vector<CoreLimit> core_limits(const CoreSources& sources = own_core_sources());

/// The cores of one process.
struct CoreShare {
  double cores = 1;   ///< its part of what it shares; below 1 where there are more ranks than cores
  std::string limit;  ///< the `what` of the limit that leaves the fewest
};

/// What is left of the limits when `sharers` processes, itself among them, share each `shared`.
CoreShare core_share(const std::vector<CoreLimit>& limits,
                     const std::function<int(const std::string& shared)>& sharers);

/// Cores of this process alone: the least of its limits.
int available_cores();

/// Cores that are online on this host.
int host_cores();

}  // namespace weft
