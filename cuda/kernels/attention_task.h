// What the attention kernels work on, and who works on what.
#pragma once

#include <cstdint>

#include "cuda/kernels/packing.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"

namespace weft {

/// Most KV heads of a rank.
inline constexpr int kMostKvHeads = 256;
/// Keys of a block of the contract.
inline constexpr int kKeyBlock = 128;

}  // namespace weft

namespace weft::WEFT_PLATFORM {

/// Ragged rows of queries over a paged cache. Query heads group_begin[h] … group_begin[h+1]-1
/// attend to KV head h; T is the element type of queries, cache and output.
template <class T>
struct AttentionTask {
  Rows<const T> q;
  Rows<T> out;
  const std::int32_t* positions;
  const std::int32_t* query_begin;
  Rows<const std::int32_t> block_table;
  Cache cache;
  float scale;
  std::int32_t window;  ///< 0: no limit
  std::int32_t sequences;
  std::int32_t kv_heads;
  std::int32_t row_begin;  ///< rows row_begin … row_end-1 of the batch are computed
  std::int32_t row_end;
  std::int16_t group_begin[kMostKvHeads + 1];

  WEFT_DEVICE std::int32_t first_visible(std::int32_t position) const {
    return window > 0 ? max(0, position - window + 1) : 0;
  }
  /// Those rows of a sequence: [begin_of, end_of).
  WEFT_DEVICE std::int32_t begin_of(int sequence) const {
    return min(max(query_begin[sequence], row_begin), row_end);
  }
  WEFT_DEVICE std::int32_t end_of(int sequence) const { return begin_of(sequence + 1); }
  WEFT_DEVICE int query_heads() const { return group_begin[kv_heads]; }
  WEFT_DEVICE int group(int kv_head) const {
    return group_begin[kv_head + 1] - group_begin[kv_head];
  }
};

/// A piece of one sequence's queries: rows of (token, query head), heads fastest; of the tokens
/// that the task computes.
struct QueryPiece {
  std::int32_t sequence = -1;  ///< -1: there is no such piece
  std::int32_t row = 0;        ///< first of the piece, counted from the sequence's first
};

/// Piece `index` of the batch when every sequence is cut into pieces of `height` rows, `group` rows
/// to a token. Called by whole warps.
template <class T>
WEFT_DEVICE QueryPiece find_piece(const AttentionTask<T>& task, int index, int group, int height) {
  const int lane = thread() % 32;
  int before = 0;
  for (int base = 0; base < task.sequences; base += 32) {
    const int b = base + lane;
    int count = 0;
    if (b < task.sequences) {
      const int rows = (task.end_of(b) - task.begin_of(b)) * group;
      count = (rows + height - 1) / height;
    }
    int through = count;  // pieces of this sequence and those before it
    for (int step = 1; step < 32; step *= 2) {
      const int left = shuffle(through, max(0, lane - step));
      if (lane >= step) through += left;
    }
    through += before;
    int found = through > index && through - count <= index ? b : -1;
    int piece = index - (through - count);
    const int total = shuffle(through, 31);
    if (index < total) {
      for (int mask = 16; mask > 0; mask /= 2) {
        const int other = shuffle_xor(found, mask);
        const int other_piece = shuffle_xor(piece, mask);
        if (other > found) {
          found = other;
          piece = other_piece;
        }
      }
      return {found, piece * height};
    }
    before = total;
  }
  return {};
}

/// exp(x) * weight sums of blocks, merged in ascending order: the one formula of
/// docs/internals/numerics.md.
struct MergeFactors {
  float maximum;
  float old_factor;
  float new_factor;

  WEFT_DEVICE static MergeFactors of(float old_maximum, float new_maximum) {
    const float maximum = max(old_maximum, new_maximum);
    return {maximum, hostdevice::exp_f32(old_maximum - maximum),
            hostdevice::exp_f32(new_maximum - maximum)};
  }
  WEFT_DEVICE float merge(float old_value, float new_value) const {
    return fmaf(new_value, new_factor, old_value * old_factor);
  }
};

}  // namespace weft::WEFT_PLATFORM
