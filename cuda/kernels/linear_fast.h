// Products with few rows in `numerics: fast`: weights that lie row by row stream once through
// registers.
//
// A block takes 16 outputs, its warps take turns along K. A lane loads 8 columns in a row of each
// of two outputs and of one row of x; which of them meet as a column of mma() is the same for both,
// so nothing has to be exchanged between lanes.
#pragma once

#include "cuda/kernels/linear_few.h"

namespace weft::WEFT_PLATFORM {

/// N: groups of 8 rows of x.
template <int N>
struct LinearFast {
  static constexpr int kThreads = 256;
  static constexpr int kWarps = kThreads / 32;
  static constexpr int kStep = 32;  ///< columns that a warp works through at a time
  static constexpr int kAhead = 4;  ///< steps whose weights are under way together

  ProductTask task;
  std::int64_t begin;  ///< of K, the node's columns
  std::int64_t end;
  float* out;  ///< [rows, outputs]

  static std::size_t shared_bytes() { return sizeof(float) * kWarps * N * 128; }

  WEFT_DEVICE void operator()() const {
    const int warp = thread() / 32;
    const int lane = thread() % 32;
    const std::int64_t output = std::int64_t{block_x()} * 16 + lane / 4;
    float acc[N][4] = {};
    for (std::int64_t k = begin + warp * (kStep * kAhead); k < end; k += kWarps * kStep * kAhead) {
      const std::int64_t column = k + lane % 4 * 8;
      Words4 low[kAhead];
      Words4 high[kAhead];
      WEFT_UNROLL for (int i = 0; i < kAhead; ++i) {
        low[i] = weights(output, column + i * kStep);
        high[i] = weights(output + 8, column + i * kStep);
      }
      WEFT_UNROLL for (int i = 0; i < kAhead; ++i) {
        const std::uint32_t first[4] = {low[i].at[0], high[i].at[0], low[i].at[1], high[i].at[1]};
        const std::uint32_t second[4] = {low[i].at[2], high[i].at[2], low[i].at[3], high[i].at[3]};
        WEFT_UNROLL for (int n = 0; n < N; ++n) {
          const Words4 x = row_of_x(n * 8 + lane / 4, column + i * kStep);
          mma(acc[n], first, x.at[0], x.at[1]);
          mma(acc[n], second, x.at[2], x.at[3]);
        }
      }
    }
    // [warp][group][place in the fragments]
    auto* const sums = reinterpret_cast<float*>(shared());
    WEFT_UNROLL for (int n = 0; n < N; ++n) {
      WEFT_UNROLL for (int i = 0; i < 4; ++i) sums[(warp * N + n) * 128 + lane * 4 + i] = acc[n][i];
    }
    block_barrier();
    for (int i = thread(); i < N * 128; i += threads()) {
      float sum = 0;
      WEFT_UNROLL for (int w = 0; w < kWarps; ++w) sum += sums[w * N * 128 + i];
      const int from = i % 128 / 4;
      const std::int64_t row = i / 128 * 8 + from % 4 * 2 + i % 2;
      const std::int64_t to = std::int64_t{block_x()} * 16 + from / 4 + i % 4 / 2 * 8;
      if (row < task.rows && to < task.outputs) out[row * task.outputs + to] = sum;
    }
  }

 private:
  /// 8 elements of a row from `column` on; those beyond `end` are zeros.
  WEFT_DEVICE Words4 elements(const std::uint16_t* row, std::int64_t column) const {
    Words4 words{};
    auto* const to = reinterpret_cast<std::uint16_t*>(&words);
    for (int i = 0; i < 8 && column + i < end; ++i) to[i] = row[column + i];
    return words;
  }

  WEFT_DEVICE Words4 weights(std::int64_t output, std::int64_t column) const {
    if (output >= task.outputs || column >= end) return Words4{};
    const std::uint16_t* const row = task.weights + output * task.leaves.row_stride;
    return task.aligned && column + 8 <= end ? load_once(row + column) : elements(row, column);
  }

  WEFT_DEVICE Words4 row_of_x(std::int64_t row, std::int64_t column) const {
    if (row >= task.rows || column >= end) return Words4{};
    const std::uint16_t* const from = task.x + row * task.x_stride;
    if (!task.aligned || column + 8 > end) return elements(from, column);
    return *reinterpret_cast<const Words4*>(from + column);
  }
};

}  // namespace weft::WEFT_PLATFORM
