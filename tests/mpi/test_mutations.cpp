// Orders of addition that look deterministic and are not the contract's: each must show in the
// digests of a whole model, or the proof would prove nothing.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/elementary.h"
#include "comm/mpi_api.h"
#include "comm/mpi_group.h"
#include "ops/reference/reference_ops.h"
#include "proof/proof_model.h"
#include "support/replica.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

/// A region that ends products in a way of its own; lookups are as they should be.
class MutantRegion : public Region {
 public:
  MutantRegion(const RegionShape& shape, Ops& ops, Group& group)
      : sound_(make_region(shape, ops, group)), ops_(ops), group_(group) {}

  void join_rows(const Tensor& owned, std::span<const std::int64_t> rows_of, const Tensor& order,
                 const Tensor& x) override {
    sound_->join_rows(owned, rows_of, order, x);
  }
  void leave(const ProductTree& /*tree*/, const Tensor& parts, const Tensor& bias,
             const Tensor& residual, const NextNorm& next) override {
    std::vector<float> sum = total(sum_of_nodes(parts));
    for (std::size_t i = 0; i < sum.size(); ++i) {
      if (bias.defined()) sum[i] += bias.as<float>()[i % static_cast<std::size_t>(bias.rows())];
      residual.as<float>()[i] += sum[i];
    }
    if (next.out.defined()) ops_.rms_norm(residual, next.weight, next.eps, next.out);
  }

 protected:
  /// The ranks' sums to the sum of all.
  virtual std::vector<float> total(std::vector<float> mine) = 0;

  /// Every rank's values, rank by rank.
  std::vector<std::vector<float>> gathered(const std::vector<float>& mine) {
    std::vector<float> all(mine.size() * static_cast<std::size_t>(group_.size()));
    group_.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)),
                      equal_counts(group_, mine.size() * sizeof(float)));
    std::vector<std::vector<float>> by_rank;
    for (auto from = all.begin(); from != all.end();
         from += static_cast<std::ptrdiff_t>(mine.size())) {
      by_rank.emplace_back(from, from + static_cast<std::ptrdiff_t>(mine.size()));
    }
    return by_rank;
  }

 private:
  /// The rank's own nodes, added in ascending order: with a rank's node being one node of the tree
  /// there is nothing to add.
  static std::vector<float> sum_of_nodes(const Tensor& parts) {
    const auto width = static_cast<std::size_t>(parts.row_elements());
    std::vector<float> sum(parts.as<float>(), parts.as<float>() + width);
    for (std::size_t i = width; i < static_cast<std::size_t>(parts.elements()); ++i) {
      sum[i % width] += parts.as<float>()[i];
    }
    return sum;
  }

  std::unique_ptr<Region> sound_;
  Ops& ops_;
  Group& group_;
};

/// The tree itself, written as a mutant: must not show where every rank has one node.
class TreeRegion : public MutantRegion {
 public:
  using MutantRegion::MutantRegion;
  std::vector<float> total(std::vector<float> mine) override {
    auto level = gathered(mine);
    while (level.size() > 1) {
      std::vector<std::vector<float>> above;
      for (std::size_t i = 0; i + 1 < level.size(); i += 2) {
        above.push_back(level[i]);
        for (std::size_t j = 0; j < mine.size(); ++j) above.back()[j] += level[i + 1][j];
      }
      if (level.size() % 2 == 1) above.push_back(level.back());  // the odd one is carried upwards
      level = std::move(above);
    }
    return level.front();
  }
};

class AllreduceRegion final : public MutantRegion {
 public:
  using MutantRegion::MutantRegion;
  std::vector<float> total(std::vector<float> mine) override {
    std::vector<float> sum(mine.size());
    MPI_Allreduce(mine.data(), sum.data(), static_cast<int>(mine.size()), MPI_FLOAT, MPI_SUM,
                  MPI_COMM_WORLD);
    return sum;
  }
};

class RankOrderRegion final : public MutantRegion {
 public:
  using MutantRegion::MutantRegion;
  std::vector<float> total(std::vector<float> mine) override {
    std::vector<float> sum(mine.size(), 0.0F);
    for (const auto& part : gathered(mine)) {
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
    }
    return sum;
  }
};

/// The tree over ranks' sums that were rounded to bf16 on their way.
class RoundedRegion final : public TreeRegion {
 public:
  using TreeRegion::TreeRegion;
  std::vector<float> total(std::vector<float> mine) override {
    for (float& value : mine) value = f32_from_bf16(bf16_from_f32(value));
    return TreeRegion::total(std::move(mine));
  }
};

template <class Mutant>
std::unique_ptr<Region> make_mutant(const RegionShape& shape, Ops& ops, Group& group) {
  return std::make_unique<Mutant>(shape, ops, group);
}

/// Attention that merges key blocks in the order in which a ring would bring them: beginning with
/// the block that the rank itself holds. `turn` is the rank.
class RingOps final : public ReferenceOps {
 public:
  explicit RingOps(std::int64_t turn) : ReferenceOps(Probabilities::unrounded), turn_(turn) {}

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
    const std::int32_t* const pages =
        batch.page_table.as<std::int32_t>() + b * batch.page_table.row_stride();
    for (std::int64_t t = 0; t < keys; ++t) {
      slots.push_back(static_cast<std::int32_t>(pages[t / cache.page_tokens] * cache.page_tokens +
                                                t % cache.page_tokens));
    }
    std::vector<float> wide(static_cast<std::size_t>(keys * 2 * cache.heads * cache.head_dim));
    REQUIRE(cache.dtype == DType::f32);
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

/// A model whose layouts are to be told apart, and what it should give.
struct Scene {
  SyntheticModel model;
  std::vector<Request> requests;
  Digest expected;

  explicit Scene(const nlohmann::json& config) : model(config, DType::f32, 3) {
    for (Request& request : proof_requests(config["vocab_size"])) {
      if (request.prompt.size() > 120) requests.push_back(std::move(request));
    }
    const auto alone = make_self_group();
    expected = run({}, *alone);
  }

  Digest run(const ReplicaOptions& options, Group& group) const {
    Replica replica(model.path(), options, group);
    return digest_of_completions(replica.complete(requests));
  }
};

}  // namespace

TEST_CASE("whole models tell other orders of addition from the tree", "[layout][mutation]") {
  const auto world = make_world_group();
  if (world->size() < 4) return;  // a sum of two parts has one order only
  const Scene scene(proof_models()[0].config);
  const bool power_of_two = (world->size() & (world->size() - 1)) == 0;
  ReplicaOptions options;
  CHECK(scene.run(options, *world) == scene.expected);

  options.region = make_mutant<RankOrderRegion>;
  CHECK_FALSE(scene.run(options, *world) == scene.expected);
  options.region = make_mutant<RoundedRegion>;
  CHECK_FALSE(scene.run(options, *world) == scene.expected);
  options.region = make_mutant<TreeRegion>;
  if (power_of_two) {
    CHECK(scene.run(options, *world) == scene.expected);
  } else {
    CHECK_FALSE(scene.run(options, *world) == scene.expected);  // an odd carry
    options.region = make_mutant<AllreduceRegion>;
    // With a power of two of ranks Open MPI may double recursively, which is this very tree.
    CHECK_FALSE(scene.run(options, *world) == scene.expected);
  }

  options = {};
  options.caps = SegmentCaps{2, 4};  // as if cut for tp = 2
  CHECK_FALSE(scene.run(options, *make_self_group()) == scene.expected);
}

TEST_CASE("whole models tell a ring's order of key blocks", "[layout][mutation]") {
  const auto world = make_world_group();
  if (world->size() != 4) return;
  nlohmann::json config = proof_models()[0].config;
  config["num_hidden_layers"] = 1;
  const Scene scene(config);
  ReplicaOptions options;
  options.layout = Layout{.tp = 1, .pp = 1, .sp = 4, .ep = 1, .dp = 1};
  CHECK(scene.run(options, *world) == scene.expected);
  options.ops = [] { return std::make_unique<RingOps>(0); };  // ascending: the contract's order
  CHECK(scene.run(options, *world) == scene.expected);
  options.ops = [&] { return std::make_unique<RingOps>(world->rank()); };
  CHECK_FALSE(scene.run(options, *world) == scene.expected);
}

}  // namespace weft::test
