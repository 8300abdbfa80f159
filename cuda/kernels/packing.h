// How weights and cached keys and values lie in a device's memory: in the order in which the lanes
// of a warp load them as operands of mma(). Addresses are in elements.
#pragma once

#include <cstdint>

#include "cuda/platform/lane.h"

namespace weft {

/// Leaves of a segment tree that a matrix can have.
inline constexpr int kMostLeaves = 64;

/// Sums that can wait in a tree of 64 leaves, and the one at hand.
inline constexpr int kTreeDepth = 7;

/// One segment of K, as a product works through it.
struct ProductLeaf {
  std::int32_t begin = 0;  ///< columns [begin, end), counted from the matrix's first
  std::int32_t end = 0;
  std::int32_t tile = 0;    ///< its first tile of 16 columns; the last tile is padded with zeros
  std::int32_t slot = 0;    ///< sums that wait when its own is complete
  std::int32_t merges = 0;  ///< how many of them are then added to it, the last first
  std::int32_t node = -1;   ///< the node of the output that it completes, or -1: its sum waits
};

/// The segment tree of a matrix as a program.
struct ProductLeaves {
  std::int32_t count = 0;
  std::int32_t tiles = 0;    ///< of 16 columns, all leaves together
  std::int32_t waiting = 0;  ///< most sums that wait at a time
  /// In `numerics: fast`, elements from one row of a bf16 matrix to the next, which then lies row
  /// by row and not in tiles; 0 otherwise.
  std::int64_t row_stride = 0;
  ProductLeaf at[kMostLeaves];
};

}  // namespace weft

namespace weft::WEFT_PLATFORM {

/// Elements of a tile of 16 rows and 16 columns; a row of tiles lies contiguous.
inline constexpr int kTileElements = 256;

/// RankCoordinates of an element in a tile that is operand a of mma(): lane 4g+t holds, in this
/// order, (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1) and the same at columns +8.
WEFT_DEVICE int tile_place(int row, int column) {
  const int lane = row % 8 * 4 + column % 8 / 2;
  return lane * 8 + column / 8 * 4 + row / 8 * 2 + column % 2;
}

/// RankCoordinates of weight (row, column) of a bf16 matrix.
WEFT_DEVICE std::int64_t weight_place(const ProductLeaves& leaves, std::int64_t row,
                                      std::int64_t column) {
  if (leaves.row_stride > 0) return row * leaves.row_stride + column;
  int leaf = 0;
  while (leaf + 1 < leaves.count && column >= leaves.at[leaf].end) ++leaf;
  const auto within = static_cast<int>(column - leaves.at[leaf].begin);
  const std::int64_t tile = row / 16 * leaves.tiles + leaves.at[leaf].tile + within / 16;
  return tile * kTileElements + tile_place(static_cast<int>(row % 16), within % 16);
}

/// Calls put(node, sum) for each node of a product, given load(leaf), the sum of each of its
/// leaves.
template <class Load, class Put>
WEFT_DEVICE void join_leaves(const ProductLeaves& leaves, const Load& load, const Put& put) {
  float waiting[kTreeDepth];
  for (int l = 0; l < leaves.count; ++l) {
    const ProductLeaf& leaf = leaves.at[l];
    float sum = load(l);
    for (int merge = 1; merge <= leaf.merges; ++merge) sum = waiting[leaf.slot - merge] + sum;
    if (leaf.node >= 0) {
      put(leaf.node, sum);
    } else {
      waiting[leaf.slot - leaf.merges] = sum;
    }
  }
}

/// One layer's cache, as ops.h's KvLayer. A block is [head][keys, values][block_tokens * width].
struct Cache {
  std::byte* data = nullptr;
  std::int64_t block_bytes = 0;
  std::int32_t block_tokens = 0;
  std::int32_t head_dim = 0;
  std::int32_t width = 0;  ///< head_dim, for bf16 rounded up to a multiple of 32
  std::int32_t heads = 0;

  template <class T>
  WEFT_DEVICE T* keys(std::int64_t kv_block, int head) const {
    return reinterpret_cast<T*>(data + kv_block * block_bytes) +
           std::int64_t{head} * 2 * block_tokens * width;
  }
  template <class T>
  WEFT_DEVICE T* values(std::int64_t kv_block, int head) const {
    return keys<T>(kv_block, head) + std::int64_t{block_tokens} * width;
  }
};

/// Keys of bf16 lie in groups of 8 tokens, each [width / 32][lane][8]: operand b of two mma()s,
/// keys as columns. RankCoordinates of dimension `d` of the key of token `token` of a block.
WEFT_DEVICE std::int64_t key_place(int token, int d, int width) {
  const int lane = token % 8 * 4 + d % 8 / 2;
  const int within = d % 32 / 8 * 2 + d % 2;
  return (std::int64_t{token / 8} * (width / 32) + d / 32) * kTileElements +
         std::int64_t{lane} * 8 + within;
}

/// Values of bf16 lie in groups of 16 tokens, each [width / 16][lane][8]: operand b of two mma()s,
/// keys as the depth.
WEFT_DEVICE std::int64_t value_place(int token, int d, int width) {
  const int lane = d % 8 * 4 + token % 8 / 2;
  const int within = d % 16 / 8 * 4 + token % 16 / 8 * 2 + token % 2;
  return (std::int64_t{token / 16} * (width / 16) + d / 16) * kTileElements +
         std::int64_t{lane} * 8 + within;
}

}  // namespace weft::WEFT_PLATFORM
