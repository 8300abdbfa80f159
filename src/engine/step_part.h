// One sp rank's part of a step: which rows it computes, and from which rows tokens are chosen.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "layout/semantics.h"
#include "model/forward/batch.h"

namespace weft {

/// A row of a step whose logits are wanted, for the token at `position` of its sequence.
struct Sample {
  std::size_t slice = 0;  ///< among the step's
  std::int64_t position = 0;
  int owner = 0;          ///< the sp rank that computes the row
  std::int32_t row = -1;  ///< in the owner's batch; -1 on the other ranks
};

/// What a rank does in a step.
struct StepPart {
  Batch batch;
  std::vector<Sample> samples;  ///< by slice; the same on all ranks but for `row`
};

/// Decode for the newest token of a sequence that was computed up to it; prefill for rows of
/// prompts and of sequences that are computed again.
ComputePhase phase_of(const Slice& slice, const Sequence& sequence);

/// The part of sp rank `rank` of `sp`. A shared slice's rows become up to two queries, see
/// causal_rows; what rows are wanted for, the sequences say. Throws Error for a shared slice in a
/// phase that sequence parallelism does not apply to.
StepPart part_of_step(std::span<const Slice> slices, const Scheduler& scheduler,
                      std::int64_t block_tokens, int rank, int sp,
                      const std::function<const Sequence&(std::int64_t)>& sequence_of);

}  // namespace weft
