// How sequence parallelism cuts the rows of a prompt. Pure arithmetic.
#pragma once

#include <array>
#include <cstdint>

#include "base/types.h"

namespace weft {

/// The rows, of `count` consecutive ones of a prompt, that rank `rank` of `sp` computes. The rows
/// are cut into 2*sp runs of nearly equal length (the first count mod 2*sp have one more), and rank
/// r takes run r and run 2*sp-1-r, in that order: a row attends to all rows before it, so every
/// rank gets an early, cheap run and a late, dear one. Runs may be empty. No rank gets more than
/// ceil(count / sp) rows, and none two fewer than another. Needs count >= 0 and 0 <= rank < sp.
std::array<Range, 2> causal_rows(std::int64_t count, int sp, int rank);

/// How many rows that is.
std::int64_t causal_row_count(std::int64_t count, int sp, int rank);

}  // namespace weft
