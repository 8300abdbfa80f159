// Kernels over rows of logits: weighing blocks of the vocabulary, and single elements.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/rows.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"

namespace weft::WEFT_PLATFORM {

/// Masses of blocks of 256 columns (docs/numerics.md, block_masses); one warp for a block, its
/// lower half the 16 lanes.
struct BlockMasses {
  static constexpr int kThreads = 128;
  static constexpr int kColumns = 256;
  Rows<const float> logits;
  Rows<const float> values;
  const float* scales;
  const float* before;
  const float* behind;
  const std::int32_t* splits;
  Rows<float> masses;
  std::int64_t rows;
  std::int64_t columns;

  WEFT_DEVICE void operator()() const {
    const int lane = thread() % 32;
    const std::int64_t block = std::int64_t{block_x()} * (threads() / 32) + thread() / 32;
    const std::int64_t first = block * kColumns;
    if (first >= columns) return;
    const std::int64_t end = smaller(first + kColumns, columns);
    for (std::int64_t row = block_y(); row < rows; row += grid_y()) {
      const float value = values[row][block];
      const float scale = scales[row];
      float sum = 0;
      if (lane < 16 && scale > 0 && value != INFINITY) {
        for (std::int64_t c = first + lane; c < end; c += 16) {
          const float logit = logits[row][c];
          if (!(logit > (c < splits[row] ? before[row] : behind[row]))) continue;
          sum = sum + everywhere::exp_f32((logit - value) * scale);
        }
      }
      sum = sum_by_halving(sum);
      if (lane == 0) masses[row][block] = sum;
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
