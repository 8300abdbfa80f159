// Times one kind of step of a loaded model.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"
#include "plan/step_work.h"

namespace weft {

/// Blocks of the cache that a case needs.
std::int64_t blocks_of(const StepCase& step, std::int64_t block_tokens);

/// Seconds of each of `runs` steps (forward pass, logits and greedy choice), after one to warm up.
/// The cache holds whatever it holds. Every rank of the model's group must call it.
std::vector<double> time_steps(const StepCase& step, Model& model, int runs);

}  // namespace weft
