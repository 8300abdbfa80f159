// Attention of many queries: a block takes 64 rows of (token, query head) of one sequence and KV
// head and walks through the key blocks, which its warps share in shared memory.
#pragma once

#include <cstdint>

#include "cuda/kernels/attention_tile.h"

namespace weft::WEFT_PLATFORM {

/// Grid (pieces, kv_heads); W as for QueryTile.
template <int W>
struct AttentionPrefill {
  static constexpr int kThreads = 128;
  static constexpr int kHeight = kThreads / 32 * 16;  ///< rows of a piece
  static constexpr int kKeyBytes = kKeyBlock * W * 2;
  static constexpr int kColumns = kValueColumns<W>;

  AttentionTask<Bf16> task;
  /// Values come while keys are worked on; otherwise both take turns in one half of the memory.
  bool overlapped = true;

  static std::size_t shared_bytes(bool overlapped) {
    return (overlapped ? 2 : 1) * static_cast<std::size_t>(kKeyBytes);
  }

  WEFT_DEVICE void operator()() const {
    const int kv_head = block_y();
    const QueryPiece piece = find_piece(task, block_x(), task.group(kv_head), kHeight);
    if (piece.sequence < 0) return;
    QueryTile<W> tile{};
    tile.load(task, piece, thread() / 32 * 16, kv_head);
    const KeyRange own = tile.range();
    const KeyRange keys = range_of_block(own);

    float sums[W / 8][4] = {};
    float maximum[2] = {};
    float total[2] = {};
    bool begun[2] = {};
    const std::int32_t first_block = keys.first / kKeyBlock * kKeyBlock;
    bring(piece.sequence, kv_head, first_block, keys, false);
    for (std::int32_t block = first_block; block <= keys.last; block += kKeyBlock) {
      if (overlapped) bring(piece.sequence, kv_head, block, keys, true);
      wait_for_oldest();
      block_barrier();
      const bool works = own.meets(block, block + kKeyBlock);  // the same for the whole warp
      BlockProbabilities probabilities;
      if (works) {
        probabilities.compute(tile, keys, block, task.scale, [&](int group, int depth) {
          return staged(false, (group * (W / 32) + depth) * kTileElements);
        });
      }
      block_barrier();
      const bool more = block + kKeyBlock <= keys.last;
      if (!overlapped) {
        bring(piece.sequence, kv_head, block, keys, true);
      } else if (more) {
        bring(piece.sequence, kv_head, block + kKeyBlock, keys, false);
      } else {
        copy_commit();
      }
      wait_for_oldest();
      block_barrier();
      if (works) add_block(tile, probabilities, keys, block, sums, maximum, total, begun);
      block_barrier();
      if (!overlapped && more) bring(piece.sequence, kv_head, block + kKeyBlock, keys, false);
    }
    copy_wait<0>();
    const int t = thread() % 4;
    WEFT_UNROLL for (int column = 0; column < W / 8; ++column) {
      WEFT_UNROLL for (int i = 0; i < 4; ++i) {
        tile.store(task, i / 2, column * 8 + t * 2 + i % 2, sums[column][i] / total[i / 2]);
      }
    }
  }

 private:
  /// Of the copies under way: the next ones may go on where there is room for them.
  WEFT_DEVICE void wait_for_oldest() const {
    if (overlapped) {
      copy_wait<1>();
    } else {
      copy_wait<0>();
    }
  }

  /// Keys that any warp of the block sees.
  WEFT_DEVICE KeyRange range_of_block(const KeyRange& own) const {
    auto* const all = reinterpret_cast<KeyRange*>(shared());
    if (thread() % 32 == 0) all[thread() / 32] = own;
    block_barrier();
    KeyRange range = all[0];
    for (int warp = 1; warp < threads() / 32; ++warp) {
      range.first = min(range.first, all[warp].first);
      range.last = max(range.last, all[warp].last);
    }
    block_barrier();
    return range;
  }

  /// Starts the copy of a block's keys or values, as far as they are in `keys`.
  WEFT_DEVICE void bring(std::int32_t sequence, int kv_head, std::int32_t block,
                         const KeyRange& keys, bool values) const {
    constexpr int kPieces = 16 * W * 2 / 16;  // of 16 bytes, for 16 tokens
    std::byte* const to = shared() + (values && overlapped ? kKeyBytes : 0);
    for (int i = thread(); i < kKeyBlock / 16 * kPieces; i += threads()) {
      const std::int32_t token = block + i / kPieces * 16;
      if (!keys.meets(token, token + 16)) continue;
      const std::int32_t kv_block = task.block_table[sequence][token / task.cache.block_tokens];
      const std::int32_t within = token % task.cache.block_tokens;
      const Bf16* const from = values ? task.cache.values<Bf16>(kv_block, kv_head)
                                      : task.cache.keys<Bf16>(kv_block, kv_head);
      copy_async(to + i * 16, from + std::int64_t{within} * W + i % kPieces * 8, 16);
    }
    copy_commit();
  }

  WEFT_DEVICE Words4 staged(bool values, int element) const {
    const std::byte* const from = shared() + (values && overlapped ? kKeyBytes : 0);
    return *reinterpret_cast<const Words4*>(from + element * 2 + thread() % 32 * 16);
  }

  WEFT_DEVICE void add_block(const QueryTile<W>& tile, const BlockProbabilities& block,
                             const KeyRange& keys, std::int32_t block_first,
                             float (&sums)[W / 8][4], float (&maximum)[2], float (&total)[2],
                             bool (&begun)[2]) const {
    MergeFactors factors[2];
    bool sees[2];
    WEFT_UNROLL for (int half = 0; half < 2; ++half) {
      sees[half] = tile.sees_any(half, block_first);
      factors[half] = MergeFactors::of(maximum[half], block.maximum[half]);
      if (!sees[half]) continue;
      total[half] =
          begun[half] ? factors[half].merge(total[half], block.total[half]) : block.total[half];
      maximum[half] = begun[half] ? factors[half].maximum : block.maximum[half];
    }
    WEFT_UNROLL for (int part = 0; part < W / kColumns; ++part) {
      float fresh[kColumns / 8][4];
      weigh_values<W>(
          block, keys, block_first, part * (kColumns / 16),
          [&](int group, int depth) {
            return staged(true, (group * (W / 16) + depth) * kTileElements);
          },
          fresh);
      WEFT_UNROLL for (int column = 0; column < kColumns / 8; ++column) {
        WEFT_UNROLL for (int i = 0; i < 4; ++i) {
          float& sum = sums[part * (kColumns / 8) + column][i];
          const float value = fresh[column][i];
          if (sees[i / 2]) sum = begun[i / 2] ? factors[i / 2].merge(sum, value) : value;
        }
      }
    }
    WEFT_UNROLL for (int half = 0; half < 2; ++half) begun[half] = begun[half] || sees[half];
  }
};

}  // namespace weft::WEFT_PLATFORM
