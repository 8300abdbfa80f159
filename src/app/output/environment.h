// Where a run took place and what it cost its hosts: the `environment` of summary.json.
#pragma once

#include <string>
#include <vector>

#include "app/rank_cores.h"
#include "base/host_facts.h"
#include "comm/group.h"

namespace weft {

/// What a rank reads when its run begins, and again at the end.
struct CostCounters {
  double cpu_seconds = 0;
  std::vector<double> load;           ///< see load_average
  std::vector<EnergyCounter> energy;  ///< of the whole host
};
CostCounters read_costs();

/// The environment as JSON: hosts, ranks, libraries, build, Slurm job, variables. What a host does
/// not tell is null there. Variables are rank 0's. Every rank must call it, with its readings from
/// the begin of the run.
std::string environment_json(const CostCounters& begin, const std::vector<RankCores>& cores,
                             Group& world);

}  // namespace weft
