// What travels between the ranks of a replica in one step: a formula over the step's rows, which
// `weft plan` prints. The counters of a run must agree with it exactly.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "comm/traffic.h"
#include "model/footprint.h"
#include "model/parallel/partition.h"
#include "plan/route_counts.h"

namespace weft {

/// All of a step that a rank's traffic depends on.
struct StepRows {
  std::int64_t rows = 0;                ///< of this rank's batch
  std::vector<std::int64_t> looked_up;  ///< of these, by the tp rank whose table has their token
  std::vector<std::int64_t> shared;     ///< rows of shared prompts that each sp rank computes
  std::vector<std::int64_t> domains;    ///< rows of each domain of the expert group
  std::vector<RouteCounts> routes;      ///< of each layer with experts in the rank's stage
  bool layers_alike = false;            ///< the first of `routes` holds for all of these layers
  std::vector<std::int64_t> samples;    ///< rows of each sp rank from which tokens are chosen
};

/// How many of `tokens` each tp rank looks up in its part of the embedding table; kept ones are
/// looked up by all that have a part.
std::vector<std::int64_t> lookups_of(const Partition& part, std::span<const TokenId> tokens);

/// Number of layers with experts in the part's stage.
std::int64_t sparse_layers(const Partition& part);

/// Traffic of the rank that computes `part` as number `sp_rank` of the sp ranks: of the forward
/// pass, of the choice of tokens, with `digest` of the digests of their logits, and of the record
/// by which all ranks learn the tokens. All tokens are chosen greedily, without penalties and
/// log-probabilities; what other ways of sampling ask for besides depends on the logits.
Traffic step_traffic(const Partition& part, const EngineShape& shape, int sp_rank,
                     const StepRows& step, bool digest);

}  // namespace weft
