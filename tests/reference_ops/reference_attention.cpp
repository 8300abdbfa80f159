// The reference implementations around the key/value cache.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/elementary.h"
#include "ops/checks.h"
#include "reference_ops/reference_ops.h"

namespace weft {
namespace reference {
namespace {

/// Elements before the keys of one token and head within its block.
Tensor entry(const KvLayer& cache, std::int64_t kv_block, std::int64_t offset, std::int64_t head,
             std::int64_t values) {
  const std::int64_t elements = ((offset * cache.heads + head) * 2 + values) * cache.head_dim;
  std::byte* const data = cache.data + static_cast<Bytes>(kv_block) * cache.block_bytes +
                          static_cast<Bytes>(elements) * size_of(cache.dtype);
  return {data, cache.dtype, {1, cache.head_dim}};
}

}  // namespace

Tensor key_at(const KvLayer& cache, std::int64_t kv_block, std::int64_t offset, std::int64_t head) {
  return entry(cache, kv_block, offset, head, 0);
}

Tensor value_at(const KvLayer& cache, std::int64_t kv_block, std::int64_t offset,
                std::int64_t head) {
  return entry(cache, kv_block, offset, head, 1);
}

}  // namespace reference

using reference::get;
using reference::key_at;
using reference::put;
using reference::value_at;

namespace {

constexpr std::int64_t kReferenceBlock = 128;

/// Norm and rotary embedding of one head, in place.
void turn(std::span<float> head, const Tensor& norm, float eps, const QkvTail& tail,
          std::int64_t row) {
  if (norm.defined()) {
    const float mean = reference::sum_of_squares(head) / static_cast<float>(head.size());
    const float r = 1.0F / std::sqrt(mean + eps);
    for (std::size_t d = 0; d < head.size(); ++d) head[d] = (head[d] * r) * norm.as<float>()[d];
  }
  if (!tail.cosines.defined()) return;
  const std::size_t half = head.size() / 2;
  for (std::size_t j = 0; j < half; ++j) {
    const float cosine = get(tail.cosines, row, static_cast<std::int64_t>(j));
    const float sine = get(tail.sines, row, static_cast<std::int64_t>(j));
    const float a = head[j];
    const float b = head[j + half];
    head[j] = std::fma(a, cosine, -(b * sine));
    head[j + half] = std::fma(b, cosine, a * sine);
  }
}

/// Result of one block, or of all blocks so far.
struct Partial {
  float maximum = 0;
  float total = 0;
  std::vector<float> sums;
};

/// A query and the cache that it looks at.
struct Query {
  std::span<const float> q;
  const KvLayer& cache;
  std::span<const std::int32_t> kv_blocks;
  std::int64_t kv_head;
  float scale;
  bool rounds;  ///< probabilities to bf16, once they are summed

  [[nodiscard]] Tensor key(std::int64_t token) const {
    return key_at(cache, block_of(token), token % cache.block_tokens, kv_head);
  }
  [[nodiscard]] Tensor value(std::int64_t token) const {
    return value_at(cache, block_of(token), token % cache.block_tokens, kv_head);
  }
  [[nodiscard]] std::int64_t block_of(std::int64_t token) const {
    return kv_blocks[static_cast<std::size_t>(token / cache.block_tokens)];
  }
};

/// Block-local attention over the visible keys of one block.
Partial attend_block(const Query& query, Range visible) {
  std::array<float, kReferenceBlock> scores{};
  const auto score = [&](std::int64_t token) -> float& {
    return scores[static_cast<std::size_t>(token % kReferenceBlock)];
  };
  Partial block;
  for (std::int64_t token = visible.begin; token < visible.end; ++token) {
    float dot = 0;
    for (std::size_t d = 0; d < query.q.size(); ++d) {
      dot = std::fma(query.q[d], get(query.key(token), 0, static_cast<std::int64_t>(d)), dot);
    }
    score(token) = dot * query.scale;
    if (token == visible.begin || score(token) > block.maximum) block.maximum = score(token);
  }
  std::array<float, 16> lanes{};
  for (std::int64_t token = visible.begin; token < visible.end; ++token) {
    score(token) = exp_f32(score(token) - block.maximum);
    lanes[static_cast<std::size_t>(token % 16)] += score(token);
  }
  block.total = reference::sum_by_halving(lanes);
  if (query.rounds) {
    for (float& probability : scores) probability = f32_from_bf16(bf16_from_f32(probability));
  }
  for (std::size_t d = 0; d < query.q.size(); ++d) {
    float sum = 0;
    for (std::int64_t token = visible.begin; token < visible.end; ++token) {
      sum = std::fma(score(token), get(query.value(token), 0, static_cast<std::int64_t>(d)), sum);
    }
    block.sums.push_back(sum);
  }
  return block;
}

void merge(Partial& all, const Partial& block) {
  const float maximum = std::max(all.maximum, block.maximum);
  const float a = exp_f32(all.maximum - maximum);
  const float b = exp_f32(block.maximum - maximum);
  all.maximum = maximum;
  all.total = std::fma(block.total, b, all.total * a);
  for (std::size_t d = 0; d < all.sums.size(); ++d) {
    all.sums[d] = std::fma(block.sums[d], b, all.sums[d] * a);
  }
}

Partial attend(const Query& query, Range visible) {
  Partial all;
  for (std::int64_t begin = visible.begin; begin < visible.end;) {
    const std::int64_t end = std::min(visible.end, (begin / kReferenceBlock + 1) * kReferenceBlock);
    const Partial block = attend_block(query, {begin, end});
    if (begin == visible.begin) {
      all = block;
    } else {
      merge(all, block);
    }
    begin = end;
  }
  return all;
}

}  // namespace

Bytes ReferenceOps::kv_block_bytes(std::int64_t heads, std::int64_t head_dim,
                                   std::int64_t block_tokens, DType dtype) const {
  checks::kv_block(heads, head_dim, block_tokens, dtype);
  return static_cast<Bytes>(2 * heads * head_dim * block_tokens) * size_of(dtype);
}

void ReferenceOps::finish_qkv(const Tensor& qkv, const HeadMap& heads, const QkvTail& tail,
                              const BatchView& batch, const KvLayer& cache, const Tensor& q) {
  checks::finish_qkv(qkv, heads, tail, batch, cache, q);
  const std::int64_t dim = heads.head_dim;
  for (std::int64_t m = 0; m < qkv.rows(); ++m) {
    const auto head_at = [&](std::int64_t head) {
      return std::span(qkv.as<float>() + m * qkv.row_stride() + head * dim,
                       static_cast<std::size_t>(dim));
    };
    if (tail.bias.defined()) {
      for (std::int64_t c = 0; c < qkv.row_elements(); ++c)
        head_at(0).data()[c] += tail.bias.as<float>()[c];
    }
    for (std::int64_t h = 0; h < heads.query_heads; ++h) {
      turn(head_at(h), tail.q_norm, tail.norm_eps, tail, m);
      for (std::int64_t d = 0; d < dim; ++d) {
        put(q, m, h * dim + d, head_at(h)[static_cast<std::size_t>(d)]);
      }
    }
    const std::int64_t slot = batch.slots.as<std::int32_t>()[m];
    if (slot < 0) continue;
    const std::int64_t kv_block = slot / cache.block_tokens;
    const std::int64_t offset = slot % cache.block_tokens;
    for (std::int64_t h = 0; h < heads.kv_heads; ++h) {
      const std::span<float> key = head_at(heads.query_heads + h);
      const std::span<float> value = head_at(heads.query_heads + heads.kv_heads + h);
      turn(key, tail.k_norm, tail.norm_eps, tail, m);
      for (std::int64_t d = 0; d < dim; ++d) {
        put(key_at(cache, kv_block, offset, h), 0, d, key[static_cast<std::size_t>(d)]);
        put(value_at(cache, kv_block, offset, h), 0, d, value[static_cast<std::size_t>(d)]);
      }
    }
  }
}

void ReferenceOps::read_kv(const KvLayer& cache, const Tensor& slots, const Tensor& out) {
  checks::kv_rows("read_kv", cache, slots, out);
  for (std::int64_t m = 0; m < slots.elements(); ++m) {
    const std::int32_t slot = slots.as<std::int32_t>()[m];
    const std::int64_t kv_block = slot / cache.block_tokens;
    const std::int64_t offset = slot % cache.block_tokens;
    for (std::int64_t h = 0; h < cache.heads; ++h) {
      for (std::int64_t d = 0; d < cache.head_dim; ++d) {
        put(out, m, h * cache.head_dim + d, get(key_at(cache, kv_block, offset, h), 0, d));
        put(out, m, (cache.heads + h) * cache.head_dim + d,
            get(value_at(cache, kv_block, offset, h), 0, d));
      }
    }
  }
}

void ReferenceOps::write_kv(const Tensor& from, const Tensor& slots, const KvLayer& cache) {
  checks::kv_rows("write_kv", cache, slots, from);
  for (std::int64_t m = 0; m < slots.elements(); ++m) {
    const std::int32_t slot = slots.as<std::int32_t>()[m];
    const std::int64_t kv_block = slot / cache.block_tokens;
    const std::int64_t offset = slot % cache.block_tokens;
    for (std::int64_t h = 0; h < cache.heads; ++h) {
      for (std::int64_t d = 0; d < cache.head_dim; ++d) {
        put(key_at(cache, kv_block, offset, h), 0, d, get(from, m, h * cache.head_dim + d));
        put(value_at(cache, kv_block, offset, h), 0, d,
            get(from, m, (cache.heads + h) * cache.head_dim + d));
      }
    }
  }
}

void ReferenceOps::attention(const Tensor& q, const HeadMap& heads, const BatchView& batch,
                             const KvLayer& cache, float scale, std::int64_t window,
                             const Tensor& out) {
  checks::attention(q, heads, batch, cache, window, out);
  if (q.rows() == 0) return;
  const std::int64_t dim = heads.head_dim;
  const bool rounds = probabilities_ == Probabilities::rounded && q.dtype() == DType::bf16;
  const auto width = static_cast<std::size_t>(batch.block_table.row_elements());
  for (std::int64_t b = 0; b + 1 < batch.query_begin.elements(); ++b) {
    const std::span<const std::int32_t> kv_blocks(
        batch.block_table.as<std::int32_t>() + b * batch.block_table.row_stride(), width);
    const std::int32_t* const query_begin = batch.query_begin.as<std::int32_t>();
    for (std::int64_t m = query_begin[b]; m < query_begin[b + 1]; ++m) {
      const std::int64_t position = batch.positions.as<std::int32_t>()[m];
      const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
      for (std::int64_t h = 0; h < heads.query_heads; ++h) {
        std::vector<float> wide;
        for (std::int64_t d = 0; d < dim; ++d) wide.push_back(get(q, m, h * dim + d));
        const std::int64_t kv_head = heads.kv_head_of[static_cast<std::size_t>(h)];
        const Partial all =
            attend({wide, cache, kv_blocks, kv_head, scale, rounds}, {first, position + 1});
        for (std::int64_t d = 0; d < dim; ++d) {
          put(out, m, h * dim + d, all.sums[static_cast<std::size_t>(d)] / all.total);
        }
      }
    }
  }
}

}  // namespace weft
