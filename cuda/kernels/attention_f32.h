// Attention of f32 elements: one warp for each row and head, in the order of
// docs/internals/numerics.md, so that the bits are the CPU's.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/attention_task.h"

namespace weft::WEFT_PLATFORM {

/// Grid (groups of 4 (row, query head) pairs).
struct AttentionF32 {
  static constexpr int kThreads = 128;
  AttentionTask<float> task;
  std::int64_t rows;

  /// Each warp: the query, the sums, a block's scores.
  static std::size_t shared_bytes(std::int64_t head_dim) {
    return kThreads / 32 * static_cast<std::size_t>(2 * head_dim + kKeyBlock) * sizeof(float);
  }

  WEFT_DEVICE void operator()() const {
    const int lane = thread() % 32;
    const int dim = task.cache.head_dim;
    const int heads = task.group_begin[task.kv_heads];
    const std::int64_t item = std::int64_t{block_x()} * (threads() / 32) + thread() / 32;
    if (item >= rows * heads) return;
    const std::int64_t m = item / heads;
    const auto head = static_cast<int>(item % heads);
    if (m >= task.query_begin[task.sequences]) return;  // the row of no sequence
    int kv_head = 0;
    while (task.group_begin[kv_head + 1] <= head) ++kv_head;
    int sequence = 0;
    while (task.query_begin[sequence + 1] <= m) ++sequence;

    float* const q = reinterpret_cast<float*>(shared()) +
                     static_cast<std::int64_t>(thread() / 32) * (2 * dim + kKeyBlock);
    float* const sums = q + dim;
    float* const p = sums + dim;
    for (int d = lane; d < dim; d += 32) q[d] = task.q[m][head * dim + d];
    warp_barrier();
    const std::int32_t position = task.positions[m];
    const std::int32_t first = task.first_visible(position);
    const std::int32_t* const kv_blocks = task.block_table[sequence];
    const auto entry = [&](std::int32_t token, bool value) {
      const std::int64_t kv_block = kv_blocks[token / task.cache.block_tokens];
      const float* const base = value ? task.cache.values<float>(kv_block, kv_head)
                                      : task.cache.keys<float>(kv_block, kv_head);
      return base + std::int64_t{token % task.cache.block_tokens} * dim;
    };
    float maximum = 0;
    float total = 0;
    for (std::int32_t block = first / kKeyBlock * kKeyBlock; block <= position;
         block += kKeyBlock) {
      const std::int32_t begin = max(first, block);
      const std::int32_t end = min(position + 1, block + kKeyBlock);
      float best = -INFINITY;
      for (std::int32_t token = block + lane; token < end; token += 32) {
        if (token < begin) continue;
        const float* const key = entry(token, false);
        float dot = 0;
        for (int d = 0; d < dim; ++d) dot = fmaf(q[d], key[d], dot);
        p[token - block] = dot * task.scale;
        best = max(best, p[token - block]);
      }
      for (int mask = 16; mask > 0; mask /= 2) best = max(best, shuffle_xor(best, mask));
      float lane_sum = 0;
      for (std::int32_t token = block + lane; token < end; token += 32) {
        if (token >= begin) p[token - block] = hostdevice::exp_f32(p[token - block] - best);
      }
      warp_barrier();
      if (lane < 16) {
        for (std::int32_t token = block + lane; token < end; token += 16) {
          if (token >= begin) lane_sum += p[token - block];
        }
      }
      const float block_total = shuffle(sum_by_halving(lane_sum), 0);
      const bool is_first = begin == first;
      const MergeFactors factors = MergeFactors::of(maximum, best);
      for (int d = lane; d < dim; d += 32) {
        float sum = 0;
        for (std::int32_t token = begin; token < end; ++token) {
          sum = fmaf(p[token - block], entry(token, true)[d], sum);
        }
        sums[d] = is_first ? sum : factors.merge(sums[d], sum);
      }
      total = is_first ? block_total : factors.merge(total, block_total);
      maximum = is_first ? best : factors.maximum;
      warp_barrier();
    }
    for (int d = lane; d < dim; d += 32) task.out[m][head * dim + d] = sums[d] / total;
  }
};

}  // namespace weft::WEFT_PLATFORM
