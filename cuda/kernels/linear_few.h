// Products with few rows (decode): weights stream once through registers.
//
// One warp takes 16 outputs and one leaf of the tree: its sums are a straight chain of mma()s over
// ascending K, weights as operand a, up to 8 * N rows of x as operand b. A block has all leaves of
// its outputs and combines them by the tree in shared memory. With a stack of matrices a block
// takes pairs of one of them.
#pragma once

#include <cstdint>

#include "cuda/kernels/expert_tiles.h"
#include "cuda/kernels/packing.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"

namespace weft {

/// What a product of bf16 operands works on.
struct ProductTask {
  ProductLeaves leaves;
  const std::uint16_t* weights = nullptr;  ///< packed
  const std::uint16_t* x = nullptr;        ///< [rows, columns]
  std::int64_t x_stride = 0;
  std::int64_t rows = 0;     ///< of the product
  std::int64_t outputs = 0;  ///< rows of the matrix
  float* out = nullptr;      ///< [nodes, rows, outputs]
  /// Of a product whose rows are gates, then as many ups: [rows, outputs / 2], silu(gate) * up in
  /// place of `out`. Both halves are whole tiles of 16, there is one node and no stack.
  std::uint16_t* gated = nullptr;
  bool aligned = false;  ///< 16-byte pieces of x can be copied: base, stride and leaves allow it
  ExpertPairs pairs;     ///< with a stack of matrices only
};

}  // namespace weft

namespace weft::WEFT_PLATFORM {

/// Columns of x that are brought in at a time.
inline constexpr int kChunk = 64;
inline constexpr int kChunkBytes = kChunk * 2;

/// RankCoordinates of 16-byte piece `piece` of row `row` of a chunk of x: rows of 128 bytes whose
/// pieces are exchanged so that the 8 rows of a matrix lie in different banks.
WEFT_DEVICE int chunk_place(int row, int piece) {
  return row * kChunkBytes + (piece ^ (row & 7)) * 16;
}

/// Starts the copy of one 16-byte piece of x, of which `columns` elements (possibly none) exist;
/// the others become zeros.
WEFT_DEVICE void copy_piece(const ProductTask& task, std::byte* to, std::int64_t row,
                            std::int64_t column, int columns) {
  const std::uint16_t* const from = task.x + row * task.x_stride + column;
  if (task.aligned) {
    copy_async(to, columns > 0 ? from : task.x, columns * 2);
    return;
  }
  auto* const words = reinterpret_cast<std::uint16_t*>(to);
  for (int i = 0; i < 8; ++i) words[i] = i < columns ? from[i] : std::uint16_t{0};
}

/// Elements of a leaf from column `column` on, 8 at most.
WEFT_DEVICE int piece_columns(std::int64_t column, std::int64_t end) {
  return static_cast<int>(max<std::int64_t>(0, min<std::int64_t>(8, end - column)));
}

/// The tile of 16 outputs that is worked on as the `index`-th: gates and ups alternate, so that a
/// block has both of a feature.
WEFT_DEVICE std::int64_t output_tile(const ProductTask& task, std::int64_t index) {
  return task.gated == nullptr ? index : index % 2 * (task.outputs / 32) + index / 2;
}

/// N: groups of 8 rows of the product. Grouped: pairs with a stack of matrices; the grid is (tiles
/// of pairs, outputs), else (outputs).
template <int N, bool Grouped = false>
struct LinearFew {
  static constexpr int kThreads = 256;
  /// The first weights are under way before x is there. Which matrix pairs are multiplied with is
  /// what kernels in front have found.
  static constexpr bool kWaits = !Grouped;
  static constexpr int kStages = 3;
  static constexpr int kStageBytes = N * 8 * kChunkBytes;
  static constexpr int kSums = 16 * 8 * N;  ///< of one leaf

  ProductTask task;
  std::int32_t row_tiles;  ///< of 16 outputs, for each block; even where they are gated

  /// Shared memory of a block.
  static std::size_t shared_bytes(int warps, int items) {
    return static_cast<std::size_t>(warps * kStages * kStageBytes) +
           static_cast<std::size_t>(items * kSums) * sizeof(float);
  }

  WEFT_DEVICE void operator()() const {
    RowTile rows{0, task.rows, 0};
    if constexpr (Grouped) {
      rows = expert_tile(task.pairs, 8 * N, block_x());
      if (rows.first == rows.end) return;
    }
    const int warps = threads() / 32;
    const int leaves = task.leaves.count;
    auto* const sums = reinterpret_cast<float*>(shared() + warps * kStages * kStageBytes);
    for (int item = thread() / 32; item < row_tiles * leaves; item += warps) {
      const std::int64_t tile = first_tile() + item / leaves;
      if (tile * 16 < task.outputs) run_leaf(rows, tile, item % leaves, sums + item * kSums);
    }
    wait_for_previous();  // warps that had nothing to do, too
    block_barrier();
    if (task.gated == nullptr) {
      join(rows, sums);
    } else {
      join_gated(rows, sums);
    }
  }

 private:
  /// The block's first tile of 16 outputs.
  WEFT_DEVICE std::int64_t first_tile() const {
    return std::int64_t{Grouped ? block_y() : block_x()} * row_tiles;
  }

  WEFT_DEVICE void run_leaf(const RowTile& rows, std::int64_t tile, int leaf_index,
                            float* to) const {
    const ProductLeaf& leaf = task.leaves.at[leaf_index];
    const int lane = thread() % 32;
    std::byte* const ring = shared() + thread() / 32 * (kStages * kStageBytes);
    const std::uint16_t* const weights =
        task.weights + rows.matrix * task.pairs.stride +
        (output_tile(task, tile) * task.leaves.tiles + leaf.tile) * kTileElements + lane * 8;
    std::int64_t sources[2 * N];
    WEFT_UNROLL for (int i = 0; i < 2 * N; ++i) {
      const std::int64_t row = rows.first + (lane + 32 * i) / 8;
      sources[i] = row < rows.end ? source_row<Grouped>(task.pairs, row) : 0;
    }
    const int tiles = (leaf.end - leaf.begin + 15) / 16;
    const int chunks = (tiles + 3) / 4;

    const auto bring_x = [&](int chunk) {
      if (chunk < chunks) {
        std::byte* const stage = ring + chunk % kStages * kStageBytes;
        WEFT_UNROLL for (int i = 0; i < 2 * N; ++i) {
          const int row = (lane + 32 * i) / 8;
          const int piece = (lane + 32 * i) % 8;
          const std::int64_t column = leaf.begin + chunk * kChunk + piece * 8;
          const int columns = rows.first + row < rows.end ? piece_columns(column, leaf.end) : 0;
          copy_piece(task, stage + chunk_place(row, piece), sources[i], column, columns);
        }
      }
      copy_commit();
    };
    const auto load_weights = [&](int chunk, Words4(&a)[4]) {
      WEFT_UNROLL for (int j = 0; j < 4; ++j) {
        if (chunk * 4 + j < tiles) {
          a[j] = load_ahead(weights + std::int64_t{chunk * 4 + j} * kTileElements);
        }
      }
    };

    float acc[N][4] = {};
    Words4 a[4];
    Words4 next[4] = {};
    load_weights(0, a);
    wait_for_previous();
    bring_x(0);
    bring_x(1);
    for (int chunk = 0; chunk < chunks; ++chunk) {
      load_weights(chunk + 1, next);
      bring_x(chunk + 2);
      copy_wait<2>();
      warp_barrier();
      const std::byte* const stage = ring + chunk % kStages * kStageBytes;
      WEFT_UNROLL for (int pair = 0; pair < 2; ++pair) {
        if (chunk * 4 + pair * 2 < tiles) {
          const bool both = chunk * 4 + pair * 2 + 1 < tiles;
          WEFT_UNROLL for (int n = 0; n < N; ++n) {
            const Words4 b =
                load_matrices(stage + chunk_place(n * 8 + lane % 8, pair * 4 + lane / 8));
            mma(acc[n], a[pair * 2].at, b.at[0], b.at[1]);
            if (both) mma(acc[n], a[pair * 2 + 1].at, b.at[2], b.at[3]);
          }
        }
      }
      warp_barrier();  // all have read what the next copies overwrite
      WEFT_UNROLL for (int j = 0; j < 4; ++j) a[j] = next[j];
    }
    copy_wait<0>();
    // [row of x][output]
    const int g = lane / 4;
    const int t = lane % 4;
    WEFT_UNROLL for (int n = 0; n < N; ++n) {
      WEFT_UNROLL for (int i = 0; i < 4; ++i) {
        to[(n * 8 + t * 2 + i % 2) * 16 + g + i / 2 * 8] = acc[n][i];
      }
    }
    warp_barrier();
  }

  /// Leaves to nodes, nodes to memory.
  WEFT_DEVICE void join(const RowTile& rows, const float* sums) const {
    const ProductLeaves& leaves = task.leaves;
    for (int i = thread(); i < row_tiles * kSums; i += threads()) {
      const std::int64_t output = (first_tile() + i / kSums) * 16 + i % 16;
      const std::int64_t row = rows.first + i % kSums / 16;
      if (output >= task.outputs || row >= rows.end) continue;
      join_leaves(
          leaves, [&](int l) { return sums[(i / kSums * leaves.count + l) * kSums + i % kSums]; },
          [&](int node, float sum) {
            task.out[(node * task.rows + row) * task.outputs + output] = sum;
          });
    }
  }

  /// The root of each gate and of its up to memory as one.
  WEFT_DEVICE void join_gated(const RowTile& rows, const float* sums) const {
    const ProductLeaves& leaves = task.leaves;
    const std::int64_t features = task.outputs / 2;
    for (int i = thread(); i < row_tiles / 2 * kSums; i += threads()) {
      const int pair = i / kSums;
      const std::int64_t feature = (first_tile() / 2 + pair) * 16 + i % 16;
      const std::int64_t row = rows.first + i % kSums / 16;
      if (feature >= features || row >= rows.end) continue;
      const auto root = [&](int tile) {
        float value = 0;
        join_leaves(
            leaves, [&](int l) { return sums[(tile * leaves.count + l) * kSums + i % kSums]; },
            [&](int, float sum) { value = sum; });
        return value;
      };
      const float gate = root(2 * pair);
      task.gated[row * features + feature] = narrow<Bf16>(gated(gate, root(2 * pair + 1)));
    }
  }
};

}  // namespace weft::WEFT_PLATFORM
