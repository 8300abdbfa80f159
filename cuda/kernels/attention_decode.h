// Attention of few queries: every key block of every piece of 16 rows is a warp's work of its own,
// straight from the cache in memory; a second kernel merges the blocks in ascending order.
#pragma once

#include <cstdint>

#include "cuda/kernels/attention_tile.h"

namespace weft {

/// Results of key blocks, for each query (a row of the task and a query head): sums that are not
/// divided yet, maximum and total, all f32.
struct BlockResults {
  float* sums = nullptr;    ///< [queries, blocks, width]; null for one block, which is the output
  float* scales = nullptr;  ///< [queries, blocks, 2]
  std::int32_t blocks = 0;  ///< key blocks of the longest sequence
  std::int32_t width = 0;

  static constexpr int kRows = 16;  ///< of a piece
  [[nodiscard]] std::int64_t floats_of_query() const { return std::int64_t{blocks} * (width + 2); }
};

}  // namespace weft

namespace weft::WEFT_PLATFORM {

WEFT_DEVICE std::int64_t result_of(const BlockResults& results, std::int64_t query, int block) {
  return query * results.blocks + block;
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
    const std::int32_t* const kv_blocks = task.block_table[piece.sequence];
    const std::int32_t block_tokens = task.cache.block_tokens;
    BlockProbabilities probabilities;
    probabilities.compute(tile, keys, block, task.scale, [&](int group, int depth) {
      const std::int32_t token = block + group * 8;
      const Bf16* const from = task.cache.keys<Bf16>(kv_blocks[token / block_tokens], kv_head) +
                               std::int64_t{token % block_tokens} * W + depth * kTileElements;
      return load_once(from + lane * 8);
    });
    const int t = lane % 4;
    const std::int64_t to[2] = {result_of(results, tile.query[0], index),
                                result_of(results, tile.query[1], index)};
    WEFT_UNROLL for (int part = 0; part < W / kColumns; ++part) {
      float sums[kColumns / 8][4];
      weigh_values<W>(
          probabilities, keys, block, part * (kColumns / 16),
          [&](int group, int depth) {
            const std::int32_t token = block + group * 16;
            const Bf16* const from =
                task.cache.values<Bf16>(kv_blocks[token / block_tokens], kv_head) +
                std::int64_t{token % block_tokens} * W + depth * kTileElements;
            return load_once(from + lane * 8);
          },
          sums);
      WEFT_UNROLL for (int column = 0; column < kColumns / 8; ++column) {
        WEFT_UNROLL for (int i = 0; i < 4; ++i) {
          if (results.sums == nullptr) {
            tile.store(task, i / 2, part * kColumns + column * 8 + t * 2 + i % 2,
                       sums[column][i] / probabilities.total[i / 2]);
          } else if (tile.position[i / 2] >= 0) {
            results.sums[to[i / 2] * W + part * kColumns + column * 8 + t * 2 + i % 2] =
                sums[column][i];
          }
        }
      }
    }
    if (results.sums != nullptr && t == 0) {
      WEFT_UNROLL for (int half = 0; half < 2; ++half) {
        if (tile.position[half] < 0) continue;
        results.scales[to[half] * 2] = probabilities.maximum[half];
        results.scales[to[half] * 2 + 1] = probabilities.total[half];
      }
    }
  }
};

/// Grid (groups of 4 queries): one warp for a query.
struct MergeBlocks {
  static constexpr int kThreads = 128;
  AttentionTask<Bf16> task;
  BlockResults results;

  WEFT_DEVICE void operator()() const {
    const int heads = task.query_heads();
    const std::int64_t query = std::int64_t{block_x()} * (threads() / 32) + thread() / 32;
    const std::int64_t m = task.row_begin + query / heads;
    if (m >= task.row_end) return;
    const std::int32_t position = task.positions[m];
    const int first_block = task.first_visible(position) / kKeyBlock;
    Bf16* const out = task.out[m] + query % heads * task.cache.head_dim;
    for (int d = thread() % 32; d < task.cache.head_dim; d += 32) {
      float sum = 0;
      float maximum = 0;
      float total = 0;
      for (int block = first_block; block <= position / kKeyBlock; ++block) {
        const std::int64_t from = result_of(results, query, block);
        const float value = results.sums[from * results.width + d];
        const float block_maximum = results.scales[from * 2];
        const float block_total = results.scales[from * 2 + 1];
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
