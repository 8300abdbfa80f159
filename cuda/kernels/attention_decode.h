// Attention of few queries: every key block of every piece of 16 rows is a warp's work of its own,
// straight from the cache in memory; a second kernel merges the blocks in ascending order.
#pragma once

#include <cstdint>

#include "cuda/kernels/attention_tile.h"

namespace weft {

/// Results of key blocks: for each (piece, kv head, key block) 16 rows of `width` sums, then 16
/// maxima, then 16 totals, all f32.
struct BlockResults {
  float* data = nullptr;
  std::int32_t kv_heads = 0;
  std::int32_t blocks = 0;  ///< key blocks of the longest sequence
  std::int32_t width = 0;

  static constexpr int kRows = 16;
  [[nodiscard]] std::int64_t floats_of_one() const { return std::int64_t{kRows} * (width + 2); }
};

}  // namespace weft

namespace weft::WEFT_PLATFORM {

WEFT_DEVICE float* results_at(const BlockResults& results, int piece, int kv_head, int block) {
  const std::int64_t index =
      (std::int64_t{piece} * results.kv_heads + kv_head) * results.blocks + block;
  return results.data + index * (BlockResults::kRows * (results.width + 2));
}

/// Grid (pieces, kv_heads, groups of 4 key blocks).
template <int W>
struct AttendBlocks {
  static constexpr int kThreads = 128;
  static constexpr int kColumns = kValueColumns<W>;
  AttentionTask<Bf16> task;
  BlockResults results;

  WEFT_DEVICE void operator()() const {
    const int kv_head = block_y();
    const int index = block_z() * (threads() / 32) + thread() / 32;
    const std::int32_t block = index * kKeyBlock;
    const QueryPiece piece = find_piece(task, block_x(), task.group(kv_head), BlockResults::kRows);
    if (piece.sequence < 0) return;
    QueryTile<W> tile{};
    tile.load(task, piece, 0, kv_head);
    const KeyRange keys = tile.range();
    if (!keys.meets(block, block + kKeyBlock)) return;

    const int lane = thread() % 32;
    const std::int32_t* const pages = task.page_table[piece.sequence];
    const std::int32_t page_tokens = task.cache.page_tokens;
    BlockProbabilities probabilities;
    probabilities.compute(tile, keys, block, task.scale, [&](int group, int depth) {
      const std::int32_t token = block + group * 8;
      const Bf16* const from = task.cache.keys<Bf16>(pages[token / page_tokens], kv_head) +
                               std::int64_t{token % page_tokens} * W + depth * kTileElements;
      return load_once(from + lane * 8);
    });
    float* const to = results_at(results, block_x(), kv_head, index);
    const int g = lane / 4;
    const int t = lane % 4;
    WEFT_UNROLL for (int part = 0; part < W / kColumns; ++part) {
      float sums[kColumns / 8][4];
      weigh_values<W>(
          probabilities, keys, block, part * (kColumns / 16),
          [&](int group, int depth) {
            const std::int32_t token = block + group * 16;
            const Bf16* const from = task.cache.values<Bf16>(pages[token / page_tokens], kv_head) +
                                     std::int64_t{token % page_tokens} * W + depth * kTileElements;
            return load_once(from + lane * 8);
          },
          sums);
      WEFT_UNROLL for (int column = 0; column < kColumns / 8; ++column) {
        WEFT_UNROLL for (int i = 0; i < 4; ++i) {
          const int row = g + i / 2 * 8;
          if (tile.position[i / 2] >= 0) {
            to[row * W + part * kColumns + column * 8 + t * 2 + i % 2] = sums[column][i];
          }
        }
      }
    }
    if (t == 0) {
      WEFT_UNROLL for (int half = 0; half < 2; ++half) {
        to[16 * W + g + half * 8] = probabilities.maximum[half];
        to[16 * W + 16 + g + half * 8] = probabilities.total[half];
      }
    }
  }
};

/// Grid (pieces, kv_heads, groups of 4 rows): one warp for a row.
struct MergeBlocks {
  static constexpr int kThreads = 128;
  AttentionTask<Bf16> task;
  BlockResults results;

  WEFT_DEVICE void operator()() const {
    const int kv_head = block_y();
    const int group = task.group(kv_head);
    const QueryPiece piece = find_piece(task, block_x(), group, BlockResults::kRows);
    if (piece.sequence < 0) return;
    const int row = block_z() * (threads() / 32) + thread() / 32;
    const std::int32_t begin = task.query_begin[piece.sequence];
    const std::int32_t r = piece.row + row;
    if (r >= (task.query_begin[piece.sequence + 1] - begin) * group) return;
    const std::int32_t m = begin + r / group;
    const int head = task.group_begin[kv_head] + r % group;
    const std::int32_t position = task.positions[m];
    const int first_block = task.first_visible(position) / kKeyBlock;
    Bf16* const out = task.out[m] + std::int64_t{head} * task.cache.head_dim;
    const int width = results.width;
    for (int d = thread() % 32; d < task.cache.head_dim; d += 32) {
      float sum = 0;
      float maximum = 0;
      float total = 0;
      for (int block = first_block; block <= position / kKeyBlock; ++block) {
        const float* const from = results_at(results, block_x(), kv_head, block);
        const float value = from[row * width + d];
        const float block_maximum = from[16 * width + row];
        const float block_total = from[16 * width + 16 + row];
        if (block == first_block) {
          sum = value;
          maximum = block_maximum;
          total = block_total;
        } else {
          const MergeFactors factors = MergeFactors::of(maximum, block_maximum);
          sum = factors.merge(sum, value);
          total = factors.merge(total, block_total);
          maximum = factors.maximum;
        }
      }
      out[d] = narrow<Bf16>(sum / total);
    }
  }
};

}  // namespace weft::WEFT_PLATFORM
