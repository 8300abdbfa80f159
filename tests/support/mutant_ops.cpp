// Mutants of the operators.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/dtype.h"
#include "base/elementary.h"
#include "base/error.h"
#include "reference_ops/reference_ops.h"
#include "support/mutants.h"

namespace weft::test {
namespace {

/// Attention that merges key blocks in the order in which a ring would bring them: beginning with
/// the `turn`-th.
class RingAttentionOps final : public ReferenceOps {
 public:
  explicit RingAttentionOps(std::int64_t turn)
      : ReferenceOps(Probabilities::unrounded), turn_(turn) {}

  void attention(const Tensor& q, const HeadMap& heads, const BatchView& batch,
                 const KvLayer& cache, float scale, std::int64_t /*window*/,
                 const Tensor& out) override {
    const auto sequences = batch.query_begin.elements() - 1;
    for (std::int64_t b = 0; b < sequences; ++b) {
      const std::int32_t* const begin = batch.query_begin.as<std::int32_t>() + b;
      if (begin[0] == begin[1]) continue;
      const std::int64_t keys = batch.positions.as<std::int32_t>()[begin[1] - 1] + 1;
      const std::vector<float> kv = keys_and_values(batch, b, keys, cache);
      for (std::int32_t row = begin[0]; row < begin[1]; ++row) {
        for (std::int64_t head = 0; head < heads.query_heads; ++head) {
          attend(q, heads, batch, cache, scale, row, head, kv, out);
        }
      }
    }
  }

 private:
  std::vector<float> keys_and_values(const BatchView& batch, std::int64_t b, std::int64_t keys,
                                     const KvLayer& cache) {
    std::vector<std::int32_t> slots;
    const std::int32_t* const kv_blocks =
        batch.block_table.as<std::int32_t>() + b * batch.block_table.row_stride();
    for (std::int64_t t = 0; t < keys; ++t) {
      slots.push_back(static_cast<std::int32_t>(
          kv_blocks[t / cache.block_tokens] * cache.block_tokens + t % cache.block_tokens));
    }
    std::vector<float> wide(static_cast<std::size_t>(keys * 2 * cache.heads * cache.head_dim));
    require(cache.dtype == DType::f32, "a ring over keys of another type");
    read_kv(cache, Tensor(slots.data(), DType::i32, {keys}),
            Tensor(wide.data(), DType::f32, {keys, 2 * cache.heads * cache.head_dim}));
    return wide;
  }

  void attend(const Tensor& q, const HeadMap& heads, const BatchView& batch, const KvLayer& cache,
              float scale, std::int32_t row, std::int64_t head, const std::vector<float>& kv,
              const Tensor& out) const {
    constexpr std::int64_t kBlock = 128;
    const std::int64_t dim = heads.head_dim;
    const std::int64_t width = 2 * cache.heads * dim;
    const std::int64_t kv_head = heads.kv_head_of[static_cast<std::size_t>(head)];
    const std::int64_t visible = batch.positions.as<std::int32_t>()[row] + 1;
    const std::int64_t blocks = ceil_div(visible, kBlock);
    std::vector<float> all;
    float all_max = 0;
    float all_sum = 0;
    for (std::int64_t i = 0; i < blocks; ++i) {
      const std::int64_t block = (i + turn_) % blocks;
      const Range tokens{block * kBlock, std::min(visible, (block + 1) * kBlock)};
      std::vector<float> scores;
      for (std::int64_t t = tokens.begin; t < tokens.end; ++t) {
        float dot = 0;
        for (std::int64_t d = 0; d < dim; ++d) {
          dot = std::fma(q.as<float>()[row * q.row_stride() + head * dim + d],
                         kv[static_cast<std::size_t>(t * width + kv_head * dim + d)], dot);
        }
        scores.push_back(dot * scale);
      }
      const float top = *std::max_element(scores.begin(), scores.end());
      std::array<float, 16> lanes{};
      for (std::size_t t = 0; t < scores.size(); ++t) {
        scores[t] = exp_f32(scores[t] - top);
        lanes[t % 16] += scores[t];
      }
      std::vector<float> sums(static_cast<std::size_t>(dim), 0.0F);
      for (std::size_t d = 0; d < sums.size(); ++d) {
        for (std::size_t t = 0; t < scores.size(); ++t) {
          const auto at = (tokens.begin + static_cast<std::int64_t>(t)) * width +
                          (cache.heads + kv_head) * dim + static_cast<std::int64_t>(d);
          sums[d] = std::fma(scores[t], kv[static_cast<std::size_t>(at)], sums[d]);
        }
      }
      const float total = reference::sum_by_halving(lanes);
      if (i == 0) {
        all = sums;
        all_max = top;
        all_sum = total;
        continue;
      }
      const float maximum = std::max(all_max, top);
      const float a = exp_f32(all_max - maximum);
      const float c = exp_f32(top - maximum);
      all_max = maximum;
      all_sum = std::fma(total, c, all_sum * a);
      for (std::size_t d = 0; d < sums.size(); ++d) all[d] = std::fma(sums[d], c, all[d] * a);
    }
    for (std::size_t d = 0; d < all.size(); ++d) {
      out.as<float>()[row * out.row_stride() + head * dim + static_cast<std::int64_t>(d)] =
          all[d] / all_sum;
    }
  }

  std::int64_t turn_;
};

class ExpertMutantOps final : public ReferenceOps {
 public:
  explicit ExpertMutantOps(ExpertMutation mutation)
      : ReferenceOps(Probabilities::unrounded), mutation_(mutation) {}

  void combine(std::span<const TreeNode> nodes, const Tensor& parts, const Tensor& rows,
               const Tensor& weights, const Tensor& out) override {
    if (mutation_ == ExpertMutation::bf16_outputs) {
      std::vector<float> narrow(parts.as<float>(), parts.as<float>() + parts.elements());
      for (float& value : narrow) value = f32_from_bf16(bf16_from_f32(value));
      const Tensor rounded(narrow.data(), DType::f32, {parts.rows(), parts.row_elements()});
      ReferenceOps::combine(nodes, rounded, rows, weights, out);
      return;
    }
    const auto k = static_cast<std::size_t>(weights.row_elements());
    for (std::int64_t m = 0; m < out.rows(); ++m) {
      // An expert's outputs lie behind those of the ranks before its own.
      Pairs pairs{std::vector<std::int32_t>(k * nodes.size()), std::vector<float>(k)};
      const std::int32_t* const from =
          rows.as<std::int32_t>() + m * static_cast<std::int64_t>(pairs.rows.size());
      std::vector<std::size_t> order(k);
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return from[a * nodes.size()] < from[b * nodes.size()];
      });
      for (std::size_t j = 0; j < k; ++j) {
        pairs.weights[j] = reference::get(weights, m, static_cast<std::int64_t>(order[j]));
        std::copy_n(from + order[j] * nodes.size(), nodes.size(),
                    pairs.rows.begin() + static_cast<std::ptrdiff_t>(j * nodes.size()));
      }
      const Tensor sum = out.slice(m, m + 1);
      if (mutation_ == ExpertMutation::rank_order) {
        add(nodes, parts, pairs, 0, k, sum);
        continue;
      }
      std::vector<float> half(static_cast<std::size_t>(out.row_elements()));
      add(nodes, parts, pairs, k / 2, k, Tensor(half.data(), DType::f32, {1, out.row_elements()}));
      add(nodes, parts, pairs, 0, k / 2, sum);
      for (std::size_t c = 0; c < half.size(); ++c) sum.as<float>()[c] += half[c];
    }
  }

 private:
  /// A row's experts: [k, nodes] rows of the parts, [k] weights.
  struct Pairs {
    std::vector<std::int32_t> rows;
    std::vector<float> weights;
  };

  /// out [1, N] = the contract's sum over the pairs from `begin` to `end`.
  void add(std::span<const TreeNode> nodes, const Tensor& parts, Pairs& pairs, std::size_t begin,
           std::size_t end, const Tensor& out) {
    const auto count = static_cast<std::int64_t>(end - begin);
    const auto width = static_cast<std::int64_t>(nodes.size());
    ReferenceOps::combine(
        nodes, parts,
        Tensor(pairs.rows.data() + begin * nodes.size(), DType::i32, {1, count, width}),
        Tensor(pairs.weights.data() + begin, DType::f32, {1, count}), out);
  }

  ExpertMutation mutation_;
};

}  // namespace

std::unique_ptr<Ops> make_ring_attention_ops(std::int64_t turn) {
  return std::make_unique<RingAttentionOps>(turn);
}

std::unique_ptr<Ops> make_expert_mutant_ops(ExpertMutation mutation) {
  return std::make_unique<ExpertMutantOps>(mutation);
}

}  // namespace weft::test
