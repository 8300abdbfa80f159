// Times one kind of step of a loaded model, and counts what it has to read and compute.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"

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

/// Pages of the cache that a case needs.
std::int64_t pages_of(const StepCase& step, std::int64_t page_tokens);

/// The work of this rank: every matrix once (the embedding table only as far as it is the head),
/// the cache of every sequence once, logits for one row of each sequence.
StepWork work_of(const StepCase& step, const Partition& part);

/// Seconds of each of `runs` steps (forward pass, logits and greedy choice), after one to warm up.
/// The cache holds whatever it holds. Every rank of the model's group must call it.
std::vector<double> time_steps(const StepCase& step, Model& model, int runs);

}  // namespace weft
