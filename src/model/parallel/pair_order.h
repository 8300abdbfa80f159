// The order in which (row, expert) pairs are computed and travel. Pure arithmetic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layout/experts.h"

namespace weft {

/// Pairs of some rows, sorted by expert, then by row, for each part of the experts.
struct PairOrder {
  /// Where each pair (row by row, slot by slot) stands among the pairs of its expert's part.
  std::vector<std::int64_t> position;
  std::vector<std::int64_t> pairs_of;  ///< pairs of each part
  std::vector<std::int64_t> ends;      ///< end of each expert's pairs within its part
};

/// Sorts the pairs of rows that go to `experts` [rows * slots]; `part_of` says which of `parts`
/// parts each expert belongs to, parts ascending.
PairOrder order_pairs(std::span<const std::int32_t> experts, std::span<const int> part_of,
                      int parts);

/// The part that each of `experts` experts belongs to.
std::vector<int> parts_of_experts(std::int64_t experts, int parts);

}  // namespace weft
