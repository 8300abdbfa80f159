// The two steps that `weft plan` looks at: a full one of decode and a full one of prefill.
#pragma once

#include <cstdint>
#include <vector>

#include "comm/traffic.h"
#include "plan/sizing.h"
#include "plan/step_traffic.h"
#include "plan/step_work.h"

namespace weft {

/// A step in which all sp ranks have equally much to do.
struct PlannedStep {
  StepCase on_rank;     ///< what each sp rank computes
  bool shared = false;  ///< of prompts whose rows all sp ranks share
  bool kept = false;    ///< its tokens are known to no host, unless logits have digests

  /// Rows of all sp ranks.
  [[nodiscard]] std::int64_t tokens(const Layout& layout) const {
    return layout.sp * on_rank.tokens();
  }
};

/// One row of each of the sequences that a step takes, each behind half of the longest sequence,
/// when every sp rank has max_sequences at home, or as many as its cache has room for.
PlannedStep decode_step(const EngineSizes& sizes, const Layout& layout);

/// As many new prompts, each of nearly the longest sequence, as fill max_batch_tokens rows of every
/// sp rank; shared by the sp ranks where they are long enough.
PlannedStep prefill_step(const EngineSizes& sizes, const Layout& layout);

/// A step of which all sp ranks compute equally much.
struct StepCounts {
  std::int64_t rows = 0;
  std::int64_t samples = 0;  ///< rows from which tokens are sampled
  std::int64_t shared = 0;   ///< of the rows, those of shared prompts
  bool kept = false;         ///< its tokens are known to no host
};

/// What traffic depends on in such a step. Tokens that are known are spread evenly over the
/// vocabulary and, see `balanced_experts`, over the experts.
StepRows rows_of_step(const StepCounts& step, const Layout& layout, const Partition& part);

/// What travels in such a step for the rank with each of `parts` (see partitions_of) and the lowest
/// sp rank that has it: no other with that part sends more.
std::vector<Traffic> traffic_of(const PlannedStep& step, const Layout& layout,
                                const std::vector<Partition>& parts, const EngineShape& shape,
                                bool digest);

}  // namespace weft
