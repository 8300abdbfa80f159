// Which pairs of (row, expert) a block computes. Blocks find out for themselves, so that the host
// need not know how many pairs each expert has.
#pragma once

#include <cstdint>

#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"

namespace weft {

/// Pairs, sorted by matrix, whose products are computed with a stack of matrices.
struct ExpertPairs {
  const std::int32_t* rows = nullptr;  ///< each pair's row of x; null: pair p has row p
  const std::int32_t* ends = nullptr;  ///< end of each matrix's pairs
  std::int32_t count = 0;              ///< matrices
  std::int64_t stride = 0;             ///< elements from one matrix to the next
};

/// Most tiles of up to `height` pairs, each of one matrix only, that `pairs` pairs can come to.
inline std::int64_t most_expert_tiles(std::int64_t pairs, std::int64_t matrices, int height) {
  const std::int64_t used = pairs < matrices ? pairs : matrices;
  return (pairs - used) / height + used;
}

}  // namespace weft

namespace weft::WEFT_PLATFORM {

/// Rows [first, end) of a product that a block computes, all with one matrix.
struct RowTile {
  std::int64_t first = 0;
  std::int64_t end = 0;
  std::int64_t matrix = 0;
};

/// The row of x that row `row` of the product reads.
template <bool Grouped>
WEFT_DEVICE std::int64_t source_row(const ExpertPairs& pairs, std::int64_t row) {
  if constexpr (Grouped) {
    if (pairs.rows != nullptr) return pairs.rows[row];
  }
  return row;
}

/// The tile-th run of up to `height` pairs of one matrix, counted matrix by matrix; an empty one
/// beyond the last. All lanes of the warp take part and get the same.
WEFT_DEVICE RowTile expert_tile(const ExpertPairs& pairs, int height, int tile) {
  const int lane = thread() % 32;
  const auto begin_of = [&](int matrix) { return matrix == 0 ? 0 : pairs.ends[matrix - 1]; };
  const auto tiles_of = [&](int matrix) {
    return (pairs.ends[matrix] - begin_of(matrix) + height - 1) / height;
  };
  // Each lane counts the tiles of some consecutive matrices.
  const int share = (pairs.count + 31) / 32;
  int own = 0;
  for (int m = lane * share; m < min((lane + 1) * share, pairs.count); ++m) own += tiles_of(m);
  int before = own;  // and those of all lanes up to this one
  for (int step = 1; step < 32; step *= 2) {
    const int other = shuffle(before, lane >= step ? lane - step : lane);
    if (lane >= step) before += other;
  }
  const int owner = count_bits(ballot(before <= tile));  // they ascend
  int left = tile - shuffle(before - own, owner % 32);
  if (owner == 32) return {};
  for (int m = owner * share;; ++m) {
    const int tiles = tiles_of(m);
    if (left < tiles) {
      const std::int64_t first = begin_of(m) + std::int64_t{left} * height;
      return {first, min<std::int64_t>(first + height, pairs.ends[m]), m};
    }
    left -= tiles;
  }
}

}  // namespace weft::WEFT_PLATFORM
