// Mutants of the regions.
#include <vector>

#include "base/dtype.h"
#include "comm/mpi_api.h"
#include "ops/ops.h"
#include "support/mutants.h"

namespace weft::test {
namespace {

/// A region that ends products in a way of its own; lookups are as they should be.
class MutantRegion : public TensorParallelRegion {
 public:
  MutantRegion(const RegionShape& shape, Ops& ops, Group& group)
      : sound_(make_region(shape, ops, group)), ops_(ops), group_(group) {}

  void gather_embeddings(const Tensor& owned, std::span<const std::int64_t> rows_of,
                         const Tensor& order, const Tensor& x) override {
    sound_->gather_embeddings(owned, rows_of, order, x);
  }
  void reduce(const ProductTree& /*tree*/, const Tensor& parts, const Tensor& bias,
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

 protected:
  [[nodiscard]] Group& group() { return group_; }

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

  std::unique_ptr<TensorParallelRegion> sound_;
  Ops& ops_;
  Group& group_;
};

/// Pairwise, an odd one out carried upwards.
class CarryRegion : public MutantRegion {
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

class RoundedRegion final : public CarryRegion {
 public:
  using CarryRegion::CarryRegion;
  std::vector<float> total(std::vector<float> mine) override {
    for (float& value : mine) value = f32_from_bf16(bf16_from_f32(value));
    return CarryRegion::total(std::move(mine));
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

class RingRegion final : public MutantRegion {
 public:
  using MutantRegion::MutantRegion;
  std::vector<float> total(std::vector<float> mine) override {
    const auto parts = gathered(mine);
    std::vector<float> sum(mine.size(), 0.0F);
    for (std::size_t i = 0; i < sum.size(); ++i) {
      const std::size_t owner = i * parts.size() / sum.size();
      for (std::size_t step = 1; step <= parts.size(); ++step) {
        sum[i] += parts[(owner + step) % parts.size()][i];
      }
    }
    return sum;
  }
};

/// Sums over a communicator of the group's ranks.
class AllreduceRegion final : public MutantRegion {
 public:
  AllreduceRegion(const RegionShape& shape, Ops& ops, Group& group)
      : MutantRegion(shape, ops, group) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    std::vector<int> members(static_cast<std::size_t>(group.size()));
    group.all_gather(std::as_bytes(std::span(&rank, 1)), std::as_writable_bytes(std::span(members)),
                     equal_counts(group, sizeof rank));
    MPI_Group world = MPI_GROUP_NULL;
    MPI_Group mine = MPI_GROUP_NULL;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_incl(world, group.size(), members.data(), &mine);
    MPI_Comm_create_group(MPI_COMM_WORLD, mine, 1, &comm_);
    MPI_Group_free(&mine);
    MPI_Group_free(&world);
  }
  AllreduceRegion(const AllreduceRegion&) = delete;
  AllreduceRegion& operator=(const AllreduceRegion&) = delete;
  ~AllreduceRegion() override { MPI_Comm_free(&comm_); }

  std::vector<float> total(std::vector<float> mine) override {
    std::vector<float> sum(mine.size());
    MPI_Allreduce(mine.data(), sum.data(), static_cast<int>(mine.size()), MPI_FLOAT, MPI_SUM,
                  comm_);
    return sum;
  }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
};

}  // namespace

std::unique_ptr<TensorParallelRegion> make_carry_region(const RegionShape& shape, Ops& ops,
                                                        Group& group) {
  return std::make_unique<CarryRegion>(shape, ops, group);
}
std::unique_ptr<TensorParallelRegion> make_rounding_region(const RegionShape& shape, Ops& ops,
                                                           Group& group) {
  return std::make_unique<RoundedRegion>(shape, ops, group);
}
std::unique_ptr<TensorParallelRegion> make_rank_order_region(const RegionShape& shape, Ops& ops,
                                                             Group& group) {
  return std::make_unique<RankOrderRegion>(shape, ops, group);
}
std::unique_ptr<TensorParallelRegion> make_ring_region(const RegionShape& shape, Ops& ops,
                                                       Group& group) {
  return std::make_unique<RingRegion>(shape, ops, group);
}
std::unique_ptr<TensorParallelRegion> make_allreduce_region(const RegionShape& shape, Ops& ops,
                                                            Group& group) {
  return std::make_unique<AllreduceRegion>(shape, ops, group);
}

}  // namespace weft::test
