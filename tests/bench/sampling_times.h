// Time of choosing tokens, per row of logits.
#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace weft::bench {

/// Prints the least of several times in microseconds for each row, elapsed and of the processor
/// (all threads together: what is left of the first on a machine that others use too), for logits
/// as flat as those of a random model (normal, deviation 1) and as peaked as those of a trained one
/// (deviation 4), 64 rows at a time as the engine has them.
void print_sampling_times(Ops& ops, std::int64_t vocab);

}  // namespace weft::bench
