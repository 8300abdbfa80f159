// Products of f32 operands: fused multiply-adds in the order of docs/internals/numerics.md, so that
// the bits are the CPU's.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/expert_tiles.h"
#include "cuda/kernels/packing.h"
#include "cuda/kernels/rows.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"

namespace weft::WEFT_PLATFORM {

/// A block computes 64 outputs of 16 rows, a thread 4 of them. Grouped: pairs with a stack of
/// matrices; the grid is (tiles of pairs, outputs), else (outputs, rows).
template <bool Grouped = false>
struct LinearF32 {
  static constexpr int kThreads = 256;
  static constexpr int kOutputs = 64;
  static constexpr int kRows = 16;
  static constexpr int kDepth = 32;

  ProductLeaves leaves;
  const float* weights;  ///< [outputs, columns]
  Rows<const float> x;
  std::int64_t rows;
  std::int64_t outputs;
  float* out;  ///< [nodes, rows, outputs]
  ExpertPairs pairs;

  /// Columns of each stand one more apart than they need to, for the banks.
  static std::size_t shared_bytes() {
    return sizeof(float) * kDepth * ((kOutputs + 1) + (kRows + 1));
  }

  WEFT_DEVICE void operator()() const {
    auto* const w_stage = reinterpret_cast<float*>(shared());
    float* const x_stage = w_stage + kDepth * (kOutputs + 1);
    const std::int64_t output0 = std::int64_t{Grouped ? block_y() : block_x()} * kOutputs;
    RowTile tile{std::int64_t{block_y()} * kRows, rows, 0};
    if constexpr (Grouped) {
      tile = expert_tile(pairs, kRows, block_x());
      if (tile.first == tile.end) return;
    }
    const float* const matrix = weights + tile.matrix * pairs.stride;
    const std::int64_t columns = leaves.at[leaves.count - 1].end;
    const int output = thread() % kOutputs;
    const int row = thread() / kOutputs * 4;
    float waiting[kTreeDepth][4];
    for (int l = 0; l < leaves.count; ++l) {
      const ProductLeaf& leaf = leaves.at[l];
      float sums[4] = {};
      for (std::int64_t k0 = leaf.begin; k0 < leaf.end; k0 += kDepth) {
        const int depth = static_cast<int>(min<std::int64_t>(kDepth, leaf.end - k0));
        block_barrier();
        for (int i = thread(); i < kOutputs * kDepth; i += threads()) {
          const std::int64_t n = output0 + i / kDepth;
          const int k = i % kDepth;
          w_stage[k * (kOutputs + 1) + i / kDepth] =
              n < outputs && k < depth ? matrix[n * columns + k0 + k] : 0.0F;
        }
        for (int i = thread(); i < kRows * kDepth; i += threads()) {
          const std::int64_t m = tile.first + i / kDepth;
          const int k = i % kDepth;
          x_stage[k * (kRows + 1) + i / kDepth] =
              m < tile.end && k < depth ? x[source_row<Grouped>(pairs, m)][k0 + k] : 0.0F;
        }
        block_barrier();
        for (int k = 0; k < depth; ++k) {
          const float w = w_stage[k * (kOutputs + 1) + output];
          WEFT_UNROLL for (int i = 0; i < 4; ++i) {
            sums[i] = fmaf(x_stage[k * (kRows + 1) + row + i], w, sums[i]);
          }
        }
      }
      for (int merge = 1; merge <= leaf.merges; ++merge) {
        WEFT_UNROLL for (int i = 0; i < 4; ++i) {
          sums[i] = waiting[leaf.slot - merge][i] + sums[i];
        }
      }
      WEFT_UNROLL for (int i = 0; i < 4; ++i) {
        const std::int64_t m = tile.first + row + i;
        if (leaf.node < 0) {
          waiting[leaf.slot - leaf.merges][i] = sums[i];
        } else if (output0 + output < outputs && m < tile.end) {
          out[(leaf.node * rows + m) * outputs + output0 + output] = sums[i];
        }
      }
    }
  }
};

}  // namespace weft::WEFT_PLATFORM
