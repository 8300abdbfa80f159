// Products with many rows (prefill, large batches): a block computes a tile of 128 outputs and T
// rows of x. Sums of leaves that wait for their tree stand in shared memory, and in device memory
// as far as there is no room: of a tree of 8 leaves, the third and last slot waits for one leaf
// only.
//
// Each sum is the same chain of mma()s as in linear_few.h: weights as operand a, ascending K, every
// leaf from zero. So a row's bits do not depend on which of the two kernels, and which tile, it was
// computed in.
//
// With a stack of matrices a block takes pairs of one of them.
#pragma once

#include <cstdint>

#include "cuda/kernels/linear_few.h"
#include "cuda/kernels/packing.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"

namespace weft::WEFT_PLATFORM {

/// T: rows of the product in a tile: 32, 64 or 128. Grouped: pairs with a stack of matrices; the
/// grid is (tiles of pairs, tiles of outputs), else (tiles of both, leaves when split).
template <int T, bool Grouped = false>
struct LinearMany {
  static constexpr int kThreads = 256;
  static constexpr int kOutputs = 128;
  static constexpr int kStages = 3;
  static constexpr int kWarpsAlongX = T / 32;
  static constexpr int kWarpsAlongOutputs = 8 / kWarpsAlongX;
  static constexpr int kTilesA = kOutputs / 16 / kWarpsAlongOutputs;  ///< of 16 outputs, of a warp
  static constexpr int kTilesB = 4;                                   ///< of 8 rows of x, of a warp
  static constexpr int kSums = kTilesA * kTilesB * 4;                 ///< of a thread
  static constexpr int kWeightBytes = kOutputs * kChunkBytes;
  static constexpr int kStageBytes = kWeightBytes + T * kChunkBytes;
  static constexpr int kGatedStride = kOutputs + 4;  ///< of a row of sums in shared memory

  ProductTask task;
  bool split;  ///< each leaf by a block of its own, to `out` [leaves, rows, outputs]
  std::int32_t output_tiles;
  std::int32_t row_tiles;
  std::int32_t first_row_tile = 0;  ///< of this launch
  std::int32_t kept = 0;            ///< slots of waiting sums in shared memory
  float* spill = nullptr;           ///< the others: [blocks, waiting - kept, kSums, kThreads]

  static constexpr std::size_t kSlotBytes = kThreads * kSums * sizeof(float);
  static std::size_t shared_bytes(int slots) {
    return static_cast<std::size_t>(kStages * kStageBytes) +
           static_cast<std::size_t>(slots) * kSlotBytes;
  }

  WEFT_DEVICE void operator()() const {
    RowTile rows;
    std::int64_t output0 = 0;
    if constexpr (Grouped) {
      rows = expert_tile(task.pairs, T, block_x());
      if (rows.first == rows.end) return;
      output0 = std::int64_t{block_y()} * kOutputs;
    } else {
      // Blocks that run together share weights and rows of x: 8 tiles of outputs by all of x.
      const int band = 8 * row_tiles;
      const int first = block_x() / band * 8;
      const int height = min(8, output_tiles - first);
      const int within = block_x() % band;
      output0 = std::int64_t{first + within % height} * kOutputs;
      rows.first = std::int64_t{first_row_tile + within / height} * T;
      rows.end = task.rows;  // its tile ends before that
      if (split) {
        float acc[kTilesA][kTilesB][4] = {};
        run_leaf(task.leaves.at[block_y()], output0, rows, acc);
        store(acc, block_y(), output0, rows);
        return;
      }
    }
    for (int l = 0; l < task.leaves.count; ++l) {
      const ProductLeaf& leaf = task.leaves.at[l];
      float acc[kTilesA][kTilesB][4] = {};
      run_leaf(leaf, output0, rows, acc);
      for (int merge = 1; merge <= leaf.merges; ++merge) {
        const float* const from = waiting(leaf.slot - merge);
        for_sums([&](int a, int b, int i, int sum) {
          acc[a][b][i] = from[sum * kThreads] + acc[a][b][i];
        });
      }
      if (leaf.node >= 0) {
        if (task.gated == nullptr) {
          store(acc, leaf.node, output0, rows);
        } else {
          store_gated(acc, output0, rows);
        }
      } else {
        float* const to = waiting(leaf.slot - leaf.merges);
        for_sums([&](int a, int b, int i, int sum) { to[sum * kThreads] = acc[a][b][i]; });
      }
    }
  }

 private:
  /// This thread's place in a slot of waiting sums; its sums stand kThreads apart.
  WEFT_DEVICE float* waiting(int slot) const {
    if (slot < kept) {
      return reinterpret_cast<float*>(shared() + kStages * kStageBytes) +
             slot * (kThreads * kSums) + thread();
    }
    const std::int64_t index =
        std::int64_t{block_x()} * (task.leaves.waiting - kept) + (slot - kept);
    return spill + index * (kThreads * kSums) + thread();
  }

  template <class F>
  WEFT_DEVICE static void for_sums(F f) {
    WEFT_UNROLL for (int a = 0; a < kTilesA; ++a) {
      WEFT_UNROLL for (int b = 0; b < kTilesB; ++b) {
        WEFT_UNROLL for (int i = 0; i < 4; ++i) f(a, b, i, (a * kTilesB + b) * 4 + i);
      }
    }
  }

  /// First of the warp's tiles of outputs, and first of its rows, within the block's tile.
  WEFT_DEVICE static int warp_tile() { return thread() / 32 / kWarpsAlongX * kTilesA; }
  WEFT_DEVICE static int warp_row() { return thread() / 32 % kWarpsAlongX * 32; }

  WEFT_DEVICE void bring(const ProductLeaf& leaf, int chunk, int tiles, std::int64_t output0,
                         const RowTile& rows) const {
    std::byte* const stage = shared() + chunk % kStages * kStageBytes;
    const std::uint16_t* const weights = task.weights + rows.matrix * task.pairs.stride;
    // Weights: for each tile of 16 outputs, 4 tiles of 16 columns, contiguous.
    WEFT_UNROLL for (int i = 0; i < kWeightBytes / 16 / kThreads; ++i) {
      const int piece = thread() + i * kThreads;
      const std::int64_t tile = output0 / 16 + piece / 128;
      const int column_tile = chunk * 4 + piece % 128 / 32;
      const bool exists = tile * 16 < task.outputs && column_tile < tiles;
      const std::uint16_t* const from =
          weights +
          (output_tile(task, tile) * task.leaves.tiles + leaf.tile + column_tile) * kTileElements +
          piece % 32 * 8;
      copy_async(stage + piece * 16, exists ? from : task.weights, exists ? 16 : 0);
    }
    WEFT_UNROLL for (int i = 0; i < T * 8 / kThreads; ++i) {
      const int row = (thread() + i * kThreads) / 8;
      const int piece = (thread() + i * kThreads) % 8;
      const std::int64_t column = leaf.begin + chunk * kChunk + piece * 8;
      const bool exists = rows.first + row < rows.end;
      copy_piece(task, stage + kWeightBytes + chunk_place(row, piece),
                 exists ? source_row<Grouped>(task.pairs, rows.first + row) : 0, column,
                 exists ? piece_columns(column, leaf.end) : 0);
    }
  }

  WEFT_DEVICE void run_leaf(const ProductLeaf& leaf, std::int64_t output0, const RowTile& rows,
                            float (&acc)[kTilesA][kTilesB][4]) const {
    const int lane = thread() % 32;
    const int tiles = (leaf.end - leaf.begin + 15) / 16;
    const int chunks = (tiles + 3) / 4;
    for (int chunk = 0; chunk < kStages - 1; ++chunk) {
      if (chunk < chunks) bring(leaf, chunk, tiles, output0, rows);
      copy_commit();
    }
    for (int chunk = 0; chunk < chunks; ++chunk) {
      copy_wait<kStages - 2>();
      // The chunk is there for all, and all are done with the stage that is filled next.
      block_barrier();
      if (chunk + kStages - 1 < chunks) bring(leaf, chunk + kStages - 1, tiles, output0, rows);
      copy_commit();
      const std::byte* const stage = shared() + chunk % kStages * kStageBytes;
      WEFT_UNROLL for (int j = 0; j < 4; ++j) {
        if (chunk * 4 + j < tiles) multiply(stage, j, lane, acc);
      }
    }
    copy_wait<0>();
    block_barrier();  // the next leaf may fill all stages
  }

  /// One column tile of the chunk.
  WEFT_DEVICE void multiply(const std::byte* stage, int j, int lane,
                            float (&acc)[kTilesA][kTilesB][4]) const {
    std::uint32_t b[kTilesB][2];
    WEFT_UNROLL for (int pair = 0; pair < kTilesB / 2; ++pair) {
      // Two groups of 8 rows, two halves of 8 columns each.
      const int row = warp_row() + pair * 16 + lane / 16 * 8 + lane % 8;
      const Words4 words =
          load_matrices(stage + kWeightBytes + chunk_place(row, j * 2 + lane / 8 % 2));
      b[pair * 2][0] = words.at[0];
      b[pair * 2][1] = words.at[1];
      b[pair * 2 + 1][0] = words.at[2];
      b[pair * 2 + 1][1] = words.at[3];
    }
    WEFT_UNROLL for (int a = 0; a < kTilesA; ++a) {
      const Words4 weights = *reinterpret_cast<const Words4*>(
          stage + ((warp_tile() + a) * 4 + j) * (kTileElements * 2) + lane * 16);
      WEFT_UNROLL for (int n = 0; n < kTilesB; ++n) mma(acc[a][n], weights.at, b[n][0], b[n][1]);
    }
  }

  WEFT_DEVICE void store(const float (&acc)[kTilesA][kTilesB][4], std::int64_t node,
                         std::int64_t output0, const RowTile& rows) const {
    const int g = thread() % 32 / 4;
    const int t = thread() % 4;
    for_sums([&](int a, int b, int i, int) {
      const std::int64_t output = output0 + (warp_tile() + a) * 16 + g + i / 2 * 8;
      const std::int64_t row = rows.first + warp_row() + b * 8 + t * 2 + i % 2;
      if (output < task.outputs && row < rows.end) {
        task.out[(node * task.rows + row) * task.outputs + output] = acc[a][b][i];
      }
    });
  }

  /// Tiles of gates and of ups alternate; both of a feature meet in shared memory, which is free
  /// by now: [rows][128 outputs].
  WEFT_DEVICE void store_gated(const float (&acc)[kTilesA][kTilesB][4], std::int64_t output0,
                               const RowTile& rows) const {
    static_assert(T * kGatedStride * 4 <= kStages * kStageBytes);
    auto* const sums = reinterpret_cast<float*>(shared());
    const int g = thread() % 32 / 4;
    const int t = thread() % 4;
    for_sums([&](int a, int b, int i, int) {
      const int row = warp_row() + b * 8 + t * 2 + i % 2;
      sums[row * kGatedStride + (warp_tile() + a) * 16 + g + i / 2 * 8] = acc[a][b][i];
    });
    block_barrier();
    const std::int64_t features = task.outputs / 2;
    for (int i = thread(); i < T * (kOutputs / 2); i += threads()) {
      const int within = i % (kOutputs / 2);
      const std::int64_t row = rows.first + i / (kOutputs / 2);
      const std::int64_t feature = output0 / 2 + within;
      if (row >= rows.end || feature >= features) continue;
      const float* const gate =
          sums + i / (kOutputs / 2) * kGatedStride + within / 16 * 32 + within % 16;
      task.gated[row * features + feature] = narrow<Bf16>(gated(gate[0], gate[16]));
    }
  }
};

}  // namespace weft::WEFT_PLATFORM
