// The operators as plain loops, for comparison.
#pragma once

#include <memory>

#include "ops/ops.h"

namespace weft {

/// What attention weighs values with: the probabilities as they are (on CPUs), or rounded to the
/// weights' type (on GPUs, whose products want operands of one type).
enum class Probabilities { unrounded, rounded };

/// The reference implementations: straight loops in the contract's order, one thread.
std::unique_ptr<Ops> make_reference_ops(Probabilities probabilities = Probabilities::unrounded);

}  // namespace weft
