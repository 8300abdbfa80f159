// Kernels over rows of logits: weighing blocks of the vocabulary, and single elements.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/rows.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"

namespace weft::WEFT_PLATFORM {

/// Which columns of a row count: those below `split` with logits above `before`, the others with
/// logits above `behind`.
struct ColumnLimits {
  float before;
  float behind;
  std::int64_t split;

  [[nodiscard]] WEFT_DEVICE bool counts(float logit, std::int64_t column) const {
    return logit > (column < split ? before : behind);
  }
};

/// The weight sum of a block of 256 columns of a row whose largest logit there is `value`
/// (docs/internals/numerics.md, block_masses); by a warp, whose lower half is the 16 lanes.
WEFT_DEVICE float block_weight_sum(const float* row, std::int64_t block, std::int64_t columns,
                                   float value, float scale, const ColumnLimits& limits) {
  const int lane = thread() % 32;
  const std::int64_t first = block * 256;
  const std::int64_t end = min(first + 256, columns);
  float sum = 0;
  // A block whose maximum does not count has nothing that does.
  const bool counts = value > min(limits.before, limits.behind) && value != INFINITY;
  if (lane < 16 && scale > 0 && counts) {
    for (std::int64_t c = first + lane; c < end; c += 16) {
      const float logit = row[c];
      if (limits.counts(logit, c)) sum = sum + hostdevice::exp_f32((logit - value) * scale);
    }
  }
  return sum_by_halving(sum);
}

/// Masses of blocks of 256 columns; one warp for a block.
struct BlockWeightSums {
  static constexpr int kThreads = 128;
  static constexpr int kColumns = 256;
  Rows<const float> logits;
  Rows<const float> values;
  const float* scales;
  const float* before;
  const float* behind;
  const std::int32_t* splits;
  Rows<float> weight_sums;
  std::int64_t rows;
  std::int64_t columns;

  WEFT_DEVICE void operator()() const {
    const std::int64_t block = std::int64_t{block_x()} * (threads() / 32) + thread() / 32;
    if (block * kColumns >= columns) return;
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      const float weight_sum =
          block_weight_sum(logits[row], block, columns, values[row][block], scales[row],
                           {before[row], behind[row], splits[row]});
      if (thread() % 32 == 0) weight_sums[row][block] = weight_sum;
    }
  }
};

/// out[i] = block blocks[i] of 256 columns of row rows[i], -infinity beyond the last column; grid
/// (blocks).
struct GatherBlocks {
  static constexpr int kThreads = 256;
  Rows<const float> x;
  const std::int32_t* rows;
  const std::int32_t* blocks;
  float* out;
  std::int64_t columns;

  WEFT_DEVICE void operator()() const {
    const std::int64_t i = block_x();
    const std::int64_t column = std::int64_t{blocks[i]} * kThreads + thread();
    out[i * kThreads + thread()] = column < columns ? x[rows[i]][column] : -INFINITY;
  }
};

/// out[i] = x[rows[i], columns[i]], or the reverse.
struct MoveElements {
  static constexpr int kThreads = kRowThreads;
  Rows<float> x;
  const std::int32_t* rows;
  const std::int32_t* columns;
  float* elements;
  std::int64_t count;
  bool put;  ///< from `elements` to x

  WEFT_DEVICE void operator()() const {
    const std::int64_t i = column_here();
    if (i >= count) return;
    float& place = x[rows[i]][columns[i]];
    if (put) {
      place = elements[i];
    } else {
      elements[i] = place;
    }
  }
};

}  // namespace weft::WEFT_PLATFORM
