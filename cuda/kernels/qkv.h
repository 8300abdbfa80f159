// The end of the fused q/k/v product: bias, norms, rotary embedding, and the cache.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/kernels/packing.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/lane.h"

namespace weft::WEFT_PLATFORM {

/// RankCoordinates of dimension `d` of a token's key or value among the keys or values of its block
/// and head.
template <class T>
WEFT_DEVICE std::int64_t cache_place(const Cache& cache, int token, int d, bool value) {
  if constexpr (sizeof(T) == 2) {
    return value ? value_place(token, d, cache.width) : key_place(token, d, cache.width);
  } else {
    return std::int64_t{token} * cache.width + d;
  }
}

/// One warp for each head of each row: grid (row, groups of heads).
template <class T>
struct FinishQkv {
  static constexpr int kThreads = 128;
  Rows<const float> qkv;
  std::int32_t query_heads;
  std::int32_t kv_heads;
  std::int32_t head_dim;
  const float* bias;
  const float* q_norm;
  const float* k_norm;
  float eps;
  Rows<const float> cosines;  ///< data is null where the model has no rotary embedding
  Rows<const float> sines;
  const std::int32_t* slots;
  Cache cache;
  Rows<T> q;

  WEFT_DEVICE void operator()() const {
    const int lane = thread() % 32;
    const int warp = thread() / 32;
    const std::int64_t row = block_x();
    const int head = block_y() * (threads() / 32) + warp;
    if (head >= query_heads + 2 * kv_heads) return;
    float* const x = reinterpret_cast<float*>(shared()) + warp * head_dim;
    for (int d = lane; d < head_dim; d += 32) {
      const float value = qkv[row][head * head_dim + d];
      x[d] = bias != nullptr ? value + bias[head * head_dim + d] : value;
    }
    warp_barrier();
    const bool is_query = head < query_heads;
    const bool is_value = head >= query_heads + kv_heads;
    if (!is_value) {
      const float* const norm = is_query ? q_norm : k_norm;
      if (norm != nullptr) normalise(x, norm, lane);
      if (cosines.data != nullptr) rotate(x, row, lane);
    }
    if (is_query) {
      for (int d = lane; d < head_dim; d += 32) q[row][head * head_dim + d] = narrow<T>(x[d]);
      return;
    }
    if (slots[row] < 0) return;
    const int kv_head = (head - query_heads) % kv_heads;
    const std::int64_t kv_block = slots[row] / cache.block_tokens;
    const int token = slots[row] % cache.block_tokens;
    for (int d = lane; d < cache.width; d += 32) {
      // Columns beyond the head are zeros: they take part in products.
      const T rounded = d < head_dim ? narrow<T>(x[d]) : T{0};
      if (is_value) {
        cache.values<T>(kv_block, kv_head)[place(token, d, true)] = rounded;
      } else {
        cache.keys<T>(kv_block, kv_head)[place(token, d, false)] = rounded;
      }
    }
  }

 private:
  WEFT_DEVICE std::int64_t place(int token, int d, bool value) const {
    return cache_place<T>(cache, token, d, value);
  }

  WEFT_DEVICE void normalise(float* x, const float* weight, int lane) const {
    float sum = 0;
    if (lane < 16) {
      for (int d = lane; d < head_dim; d += 16) sum = fmaf(x[d], x[d], sum);
    }
    sum = shuffle(sum_by_halving(sum), 0);
    const float r = 1.0F / sqrtf(sum / static_cast<float>(head_dim) + eps);
    for (int d = lane; d < head_dim; d += 32) x[d] = (x[d] * r) * weight[d];
    warp_barrier();
  }

  WEFT_DEVICE void rotate(float* x, std::int64_t row, int lane) const {
    const int half = head_dim / 2;
    for (int j = lane; j < half; j += 32) {
      const float a = x[j];
      const float b = x[j + half];
      const float cosine = cosines[row][j];
      const float sine = sines[row][j];
      x[j] = fmaf(a, cosine, -(b * sine));
      x[j + half] = fmaf(b, cosine, a * sine);
    }
    warp_barrier();
  }
};

/// Keys and values of slots to rows [keys of all heads, values of all heads], or back.
template <class T>
struct MoveKv {
  static constexpr int kThreads = 256;
  Cache cache;
  const std::int32_t* slots;
  Rows<T> rows;
  std::int64_t count;    ///< of slots
  std::int64_t columns;  ///< 2 * heads * head_dim
  bool write;            ///< from `rows` into the cache

  WEFT_DEVICE void operator()() const {
    const std::int64_t c = std::int64_t{block_x()} * threads() + thread();
    if (c >= columns) return;
    const bool value = c >= columns / 2;
    const auto within = static_cast<std::int32_t>(value ? c - columns / 2 : c);
    const int head = within / cache.head_dim;
    const int d = within % cache.head_dim;
    for (std::int64_t row = block_y(); row < count; row += grid_y()) {
      const std::int64_t kv_block = slots[row] / cache.block_tokens;
      const int token = slots[row] % cache.block_tokens;
      T* const base = value ? cache.values<T>(kv_block, head) : cache.keys<T>(kv_block, head);
      T& place = base[cache_place<T>(cache, token, d, value)];
      if (write) {
        place = rows[row][c];
      } else {
        rows[row][c] = place;
      }
    }
  }
};

}  // namespace weft::WEFT_PLATFORM
