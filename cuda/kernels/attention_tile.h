// Attention of 16 rows of queries over one block of 128 keys, by one warp, with mma(): the part
// that prefill and decode have in common, to the bit.
//
// A lane 4g+t holds rows g and g+8. Of the scores it has, for each group of 8 keys, keys 2t and
// 2t+1: those are lanes 2t and 2t+1 (8+2t and 9+2t in odd groups) of the contract's 16.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/attention_task.h"

namespace weft::WEFT_PLATFORM {

/// Keys that a piece of work may read: [first, last].
struct KeyRange {
  std::int32_t first = 0;
  std::int32_t last = -1;

  WEFT_DEVICE bool meets(std::int32_t begin, std::int32_t end) const {
    return begin <= last && end > first;
  }
};

/// 16 rows of queries. W: head_dim padded with zeros, a multiple of 32.
template <int W>
struct QueryTile {
  std::uint32_t q[W / 16][4];  ///< operand a
  std::int32_t position[2];    ///< of rows g and g+8; -1: no such row
  std::int32_t first_key[2];   ///< that they see
  std::int64_t out_offset[2];  ///< of the row's head in the output
  std::int32_t query[2];       ///< (row of the batch - row_begin) * query heads + query head

  /// The rows of `piece` from `row` on that a KV head serves.
  WEFT_DEVICE void load(const AttentionTask<Bf16>& task, const QueryPiece& piece, int row,
                        int kv_head) {
    const int g = thread() % 32 / 4;
    const int t = thread() % 4;
    const int group = task.group(kv_head);
    const std::int32_t begin = task.begin_of(piece.sequence);
    const std::int32_t rows = (task.end_of(piece.sequence) - begin) * group;
    WEFT_UNROLL for (int half = 0; half < 2; ++half) {
      const std::int32_t r = piece.row + row + g + half * 8;
      const bool exists = r < rows;
      const std::int32_t m = begin + (exists ? r / group : 0);
      const int head = task.group_begin[kv_head] + (exists ? r % group : 0);
      position[half] = exists ? task.positions[m] : -1;
      first_key[half] = exists ? task.first_visible(position[half]) : 0;
      query[half] = (m - task.row_begin) * task.query_heads() + head;
      out_offset[half] = m * task.out.stride + std::int64_t{head} * task.cache.head_dim;
      const Bf16* const from = task.q[m] + std::int64_t{head} * task.cache.head_dim;
      WEFT_UNROLL for (int k = 0; k < W / 16; ++k) {
        WEFT_UNROLL for (int high = 0; high < 2; ++high) {
          const int d = k * 16 + high * 8 + t * 2;
          std::uint32_t pair = 0;
          if (exists && d < task.cache.head_dim) {
            pair = *reinterpret_cast<const std::uint32_t*>(from + d);
          }
          q[k][high * 2 + half] = pair;
        }
      }
    }
  }

  /// Keys that any of the 16 rows sees.
  WEFT_DEVICE KeyRange range() const {
    std::int32_t last = max(position[0], position[1]);
    std::int32_t first = 0x7fffffff;
    WEFT_UNROLL for (int half = 0; half < 2; ++half) {
      if (position[half] >= 0) first = min(first, first_key[half]);
    }
    for (int mask = 16; mask >= 4; mask /= 2) {
      last = max(last, shuffle_xor(last, mask));
      first = min(first, shuffle_xor(first, mask));
    }
    return {first, last};
  }

  WEFT_DEVICE bool sees(int half, std::int32_t key) const {
    return key <= position[half] && key >= first_key[half];
  }
  WEFT_DEVICE bool sees_any(int half, std::int32_t block_first) const {
    return position[half] >= block_first && first_key[half] < block_first + kKeyBlock;
  }

  WEFT_DEVICE void store(const AttentionTask<Bf16>& task, int half, int d, float value) const {
    if (position[half] >= 0 && d < task.cache.head_dim) {
      task.out.data[out_offset[half] + d] = narrow<Bf16>(value);
    }
  }
};

/// Probabilities of one block: p = exp(s - maximum) as operand a, and their sums before rounding.
struct BlockProbabilities {
  std::uint32_t p[kKeyBlock / 16][4];
  float maximum[2];
  float total[2];

  /// `load_key(group, depth)` gives operand b of two products: 8 keys of the block by dimensions
  /// 32 * depth … + 31. It is called for groups that meet `keys` only.
  template <int W, class LoadKey>
  WEFT_DEVICE void compute(const QueryTile<W>& tile, const KeyRange& keys, std::int32_t block_first,
                           float scale, const LoadKey& load_key) {
    const int t = thread() % 4;
    float s[kKeyBlock / 8][4];
    maximum[0] = maximum[1] = -INFINITY;
    WEFT_UNROLL for (int group = 0; group < kKeyBlock / 8; ++group) {
      const std::int32_t first = block_first + group * 8;
      float sums[4] = {};
      if (keys.meets(first, first + 8)) {
        WEFT_UNROLL for (int depth = 0; depth < W / 32; ++depth) {
          const Words4 k = load_key(group, depth);
          mma(sums, tile.q[depth * 2], k.at[0], k.at[1]);
          mma(sums, tile.q[depth * 2 + 1], k.at[2], k.at[3]);
        }
      }
      WEFT_UNROLL for (int i = 0; i < 4; ++i) {
        s[group][i] = sums[i] * scale;
        if (tile.sees(i / 2, first + t * 2 + i % 2)) {
          maximum[i / 2] = max(maximum[i / 2], s[group][i]);
        }
      }
    }
    WEFT_UNROLL for (int half = 0; half < 2; ++half) {
      maximum[half] = max(maximum[half], shuffle_xor(maximum[half], 1));
      maximum[half] = max(maximum[half], shuffle_xor(maximum[half], 2));
    }
    float lanes[2][4] = {};  // of each row: lanes 2t, 2t+1, 8+2t, 9+2t
    WEFT_UNROLL for (int group = 0; group < kKeyBlock / 8; ++group) {
      WEFT_UNROLL for (int i = 0; i < 4; ++i) {
        const int half = i / 2;
        const bool seen = tile.sees(half, block_first + group * 8 + t * 2 + i % 2);
        s[group][i] = seen ? hostdevice::exp_f32(s[group][i] - maximum[half]) : 0.0F;
        lanes[half][group % 2 * 2 + i % 2] += s[group][i];
      }
    }
    WEFT_UNROLL for (int half = 0; half < 2; ++half) {
      float even = lanes[half][0] + lanes[half][2];
      float odd = lanes[half][1] + lanes[half][3];
      for (int mask = 2; mask > 0; mask /= 2) {
        even += shuffle_xor(even, mask);
        odd += shuffle_xor(odd, mask);
      }
      total[half] = even + odd;
    }
    WEFT_UNROLL for (int pair = 0; pair < kKeyBlock / 16; ++pair) {
      WEFT_UNROLL for (int i = 0; i < 4; ++i) {
        const float* const from = s[pair * 2 + i / 2];
        p[pair][i] = bf16_pair(from[i % 2 * 2], from[i % 2 * 2 + 1]);
      }
    }
  }
};

/// Dimensions whose sums are made at a time.
template <int W>
inline constexpr int kValueColumns = W % 64 == 0 ? 64 : 32;

/// sums = probabilities * values for kValueColumns dimensions from 16 * depth0 on.
/// `load_value(group, depth)` gives operand b of two products: 16 keys of the block by dimensions
/// 16 * depth … + 15.
template <int W, class LoadValue>
WEFT_DEVICE void weigh_values(const BlockProbabilities& block, const KeyRange& keys,
                              std::int32_t block_first, int depth0, const LoadValue& load_value,
                              float (&sums)[kValueColumns<W> / 8][4]) {
  const int t = thread() % 4;
  WEFT_UNROLL for (int i = 0; i < kValueColumns<W> / 8; ++i) {
    WEFT_UNROLL for (int j = 0; j < 4; ++j) sums[i][j] = 0;
  }
  WEFT_UNROLL for (int group = 0; group < kKeyBlock / 16; ++group) {
    const std::int32_t first = block_first + group * 16;
    if (!keys.meets(first, first + 16)) continue;
    const bool whole = first >= keys.first && first + 15 <= keys.last;
    WEFT_UNROLL for (int depth = 0; depth < kValueColumns<W> / 16; ++depth) {
      Words4 v = load_value(group, depth0 + depth);
      if (!whole) {
        // Beyond the range there may be anything, and zero times anything is not zero.
        WEFT_UNROLL for (int i = 0; i < 4; ++i) {
          const std::int32_t key = first + t * 2 + i % 2 * 8;
          if (key < keys.first || key > keys.last) v.at[i] &= 0xffff0000U;
          if (key + 1 < keys.first || key + 1 > keys.last) v.at[i] &= 0x0000ffffU;
        }
      }
      mma(sums[depth * 2], block.p[group], v.at[0], v.at[1]);
      mma(sums[depth * 2 + 1], block.p[group], v.at[2], v.at[3]);
    }
  }
  // Groups of keys that nobody sees were left out, others added zeros: the same but for the sign of
  // a zero, which this settles.
  WEFT_UNROLL for (int i = 0; i < kValueColumns<W> / 8; ++i) {
    WEFT_UNROLL for (int j = 0; j < 4; ++j) sums[i][j] += 0.0F;
  }
}

}  // namespace weft::WEFT_PLATFORM
