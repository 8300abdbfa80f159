// What one rank has to read and compute for a step, at least.
#pragma once

#include <cstdint>

#include "model/parallel/partition.h"

namespace weft {

/// A step of `sequences` equal sequences: `rows` new tokens each, behind `context` older ones.
struct StepCase {
  std::int64_t sequences = 1;
  std::int64_t rows = 1;
  std::int64_t context = 0;

  [[nodiscard]] std::int64_t tokens() const { return sequences * rows; }
};

/// What one rank must do for a step at least.
struct StepWork {
  double bytes = 0;  ///< weights and cached keys and values, each read once
  double flops = 0;  ///< of matrix products and attention; a multiply-add is two
};

/// The work of this rank's stage: every matrix once (the embedding table only as far as it is the
/// head), the cache of every sequence once, logits for one row of each sequence. Of its experts,
/// those that are likely to be met are read: every row of the expert group's domains (each computes
/// such a step) chooses k of all experts at random.
StepWork work_of(const StepCase& step, const Partition& part);

}  // namespace weft
