// What the proof tries: every layout, every schedule, and random combinations of both.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layout/grid.h"
#include "proof/proof_model.h"
#include "proof/replica.h"

namespace weft {

/// How a replica's work is put into steps, by a name for messages.
struct Schedule {
  std::string name;
  ReplicaOptions options;   ///< all but the layout
  std::uint64_t order = 0;  ///< seed of the requests' order; 0: as they are
};

/// Batch sizes 1, 2, 17 and 65, chunks around the key block, pages of several sizes, preemption by
/// a cache that is too small, reordered requests, both transports, several threads, no sharing.
std::vector<Schedule> proof_schedules();

/// One run of one model.
struct Trial {
  std::size_t model = 0;  ///< in proof_models()
  Layout layout;          ///< of one replica
  Schedule schedule;
};

/// How much is tried.
struct ProofScope {
  int ranks = 1;              ///< replicas of up to that many ranks
  bool full = false;          ///< every layout with every schedule
  std::int64_t random = 200;  ///< random combinations, unless full
  std::uint64_t seed = 1;
};

/// The trials, ordered by the ranks of their replicas: every layout that a model allows with one
/// schedule, every schedule with three layouts of the most ranks, and `random` combinations; or
/// their product. A pure function of the arguments.
std::vector<Trial> trials_of(const std::vector<ProofModel>& models, const ProofScope& scope);

}  // namespace weft
