// The cores that every rank of a job has, and what there is to say of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comm/group.h"

namespace weft {

/// One rank's cores.
struct RankCores {
  std::string host;
  int host_cores = 1;     ///< online on the host
  int ranks_on_host = 1;  ///< of this job
  double cores = 1;       ///< this rank's part of all limits; below 1 with more ranks than cores
  std::string limit;      ///< what leaves it no more (see CoreShare)
  int threads = 1;
};

/// Every rank's, by rank. `threads`: as asked for; nothing: as many as the rank has cores. Every
/// rank must call it.
std::vector<RankCores> rank_cores(const std::optional<int>& threads, Group& world);

/// Threads of a rank: as asked, else one on each of its cores.
int threads_of(const std::optional<int>& asked, double cores);

/// The rank with the fewest cores.
const RankCores& fewest_cores(const std::vector<RankCores>& ranks);

/// For people, a line each: that a rank has fewer cores than its host has for it, and that threads
/// share cores.
std::vector<std::string> core_warnings(const std::vector<RankCores>& ranks);

}  // namespace weft
