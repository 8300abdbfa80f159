// The edge of a row-parallel product: one sum for every number of ranks and both transports, and
// comparisons that notice every other order of additions.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "comm/mpi_api.h"
#include "comm/mpi_group.h"
#include "model/parallel/tensor_parallel_region.h"
#include "ops/make_cpu_ops.h"
#include "support/skip.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

constexpr std::int64_t kColumns = 40;
constexpr int kSegments = 8;

/// Leaf sums of every segment, with wide exponents: most orders of addition give different bits.
std::vector<std::vector<float>> leaves_of(std::int64_t rows) {
  std::mt19937 random(42);
  std::vector<std::vector<float>> leaves(kSegments);
  for (auto& leaf : leaves) {
    for (std::int64_t i = 0; i < rows * kColumns; ++i) {
      const float mantissa = static_cast<float>(random()) * 0x1p-32F + 0.5F;
      const float sign = (random() & 1U) != 0 ? -1.0F : 1.0F;
      leaf.push_back(sign * std::ldexp(mantissa, static_cast<int>(random() % 20) - 10));
    }
  }
  return leaves;
}

/// This rank's nodes [nodes, rows, columns], reduced from its leaves by the tree.
std::vector<float> nodes_of(const std::vector<std::vector<float>>& leaves, Range own) {
  TreeStack stack;
  std::vector<std::vector<float>> values;
  for (std::int64_t leaf = own.begin; leaf < own.end; ++leaf) {
    values.push_back(leaves[static_cast<std::size_t>(leaf)]);
    for (int n = stack.push({0, leaf}); n > 0; --n) {
      const std::vector<float> top = values.back();
      values.pop_back();
      for (std::size_t i = 0; i < top.size(); ++i) values.back()[i] += top[i];
    }
  }
  std::vector<float> nodes;
  for (const auto& value : values) nodes.insert(nodes.end(), value.begin(), value.end());
  return nodes;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// What one rank alone computes.
std::vector<float> expected(const std::vector<std::vector<float>>& leaves,
                            const std::vector<float>& residual) {
  std::vector<float> sum = nodes_of(leaves, {0, kSegments});
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = residual[i] + sum[i];
  return sum;
}

std::vector<float> residual_of(std::int64_t rows) {
  std::vector<float> residual;
  for (std::int64_t i = 0; i < rows * kColumns; ++i) {
    residual.push_back(std::sin(static_cast<float>(i)));
  }
  return residual;
}

std::vector<float> through_region(Group& group, Transport transport, std::int64_t rows) {
  const auto ops = make_cpu_ops(1);
  const Segments segments = Segments::cut(kSegments * 16, 16, kSegments);
  const ProductTree tree = ProductTree::of(segments, group.size());
  RegionShape shape;
  shape.max_rows = rows;
  shape.columns = kColumns;
  shape.own_nodes =
      static_cast<std::int64_t>(tree.nodes_of[static_cast<std::size_t>(group.rank())].size());
  shape.all_nodes = static_cast<std::int64_t>(tree.nodes.size());
  shape.ranks = group.size();
  shape.transport = transport;
  const auto region = make_region(shape, *ops, group);
  REQUIRE(ops->memory().in_use() == region_bytes(shape));
  std::vector<float> nodes = nodes_of(leaves_of(rows), segments.owned(group.rank(), group.size()));
  std::vector<float> residual = residual_of(rows);
  region->reduce(tree, Tensor(nodes.data(), DType::f32, {shape.own_nodes, rows, kColumns}),
                 Tensor(), Tensor(residual.data(), DType::f32, {rows, kColumns}), {});
  return residual;
}

}  // namespace

TEST_CASE("both transports give the tree's sum", "[region]") {
  const auto world = make_world_group();
  for (const std::int64_t rows : {1, 2, 5, 8, 33, 500}) {
    INFO(rows << " rows");
    const std::vector<float> sum = expected(leaves_of(rows), residual_of(rows));
    CHECK(same_bits(through_region(*world, Transport::all_gather, rows), sum));
    CHECK(same_bits(through_region(*world, Transport::all_to_all, rows), sum));
    CHECK(same_bits(through_region(*world, Transport::automatic, rows), sum));
  }
}

TEST_CASE("other orders of addition are noticed", "[region][mutation]") {
  const auto world = make_world_group();
  // A sum of two or three parts leaves too little room for another order.
  WEFT_SKIP_IF(world->size() < 4, "fewer than four ranks");
  constexpr std::int64_t kRows = 33;
  const auto leaves = leaves_of(kRows);
  const std::vector<float> residual = residual_of(kRows);
  const std::vector<float> sum = expected(leaves, residual);

  // What ranks hold when each sums its own leaves in ascending order.
  const Segments segments = Segments::cut(kSegments * 16, 16, kSegments);
  std::vector<float> mine(residual.size(), 0.0F);
  const Range own = segments.owned(world->rank(), world->size());
  for (std::int64_t leaf = own.begin; leaf < own.end; ++leaf) {
    for (std::size_t i = 0; i < mine.size(); ++i) {
      mine[i] += leaves[static_cast<std::size_t>(leaf)][i];
    }
  }
  const auto plus_residual = [&](std::vector<float> total) {
    for (std::size_t i = 0; i < total.size(); ++i) total[i] = residual[i] + total[i];
    return total;
  };

  SECTION("MPI_Allreduce") {
    // With a power of two of ranks Open MPI may double recursively, which is this very tree.
    WEFT_SKIP_IF((world->size() & (world->size() - 1)) == 0, "a power of two of ranks");
    std::vector<float> total(mine.size());
    MPI_Allreduce(mine.data(), total.data(), static_cast<int>(mine.size()), MPI_FLOAT, MPI_SUM,
                  MPI_COMM_WORLD);
    CHECK_FALSE(same_bits(plus_residual(total), sum));
  }
  SECTION("rank by rank") {
    std::vector<float> all(mine.size() * static_cast<std::size_t>(world->size()));
    world->all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)),
                      equal_counts(*world, mine.size() * sizeof(float)));
    std::vector<float> total(mine.size(), 0.0F);
    for (std::size_t i = 0; i < all.size(); ++i) total[i % mine.size()] += all[i];
    CHECK_FALSE(same_bits(plus_residual(total), sum));
  }
  SECTION("partial sums rounded to bf16") {
    std::vector<std::vector<float>> rounded = leaves;
    for (auto& leaf : rounded) {
      for (float& value : leaf) value = f32_from_bf16(bf16_from_f32(value));
    }
    CHECK_FALSE(same_bits(expected(rounded, residual), sum));
  }
  SECTION("segments cut by the number of ranks") {
    // Each rank's run of leaves summed in ascending order, then the tree over the ranks.
    std::vector<std::vector<float>> by_rank;
    for (int rank = 0; rank < 4; ++rank) {
      std::vector<float> part(residual.size(), 0.0F);
      for (std::size_t leaf = 0; leaf < 2; ++leaf) {
        for (std::size_t i = 0; i < part.size(); ++i) {
          part[i] += leaves[static_cast<std::size_t>(rank) * 2 + leaf][i];
        }
      }
      by_rank.push_back(part);
    }
    std::vector<float> total = by_rank[0];
    for (std::size_t rank = 1; rank < 4; ++rank) {
      for (std::size_t i = 0; i < total.size(); ++i) total[i] += by_rank[rank][i];
    }
    CHECK_FALSE(same_bits(plus_residual(total), sum));
  }
}

TEST_CASE("rows of a spread table are joined in order", "[region]") {
  const auto world = make_world_group();
  const auto ops = make_cpu_ops(1);
  RegionShape shape;
  shape.max_rows = 64;
  shape.columns = kColumns;
  shape.own_nodes = 1;
  shape.all_nodes = world->size();
  shape.ranks = world->size();
  const auto region = make_region(shape, *ops, *world);
  // Token t belongs to rank (t * t) mod n; its row is full of the value t.
  std::vector<std::int64_t> rows_of(static_cast<std::size_t>(world->size()), 0);
  std::vector<float> owned;
  const auto owner = [&](std::int64_t token) {
    return static_cast<std::size_t>(token * token % world->size());
  };
  for (std::int64_t token = 0; token < 50; ++token) {
    ++rows_of[owner(token)];
    if (static_cast<int>(owner(token)) == world->rank()) {
      owned.insert(owned.end(), kColumns, static_cast<float>(token));
    }
  }
  std::vector<std::int64_t> next(rows_of.size(), 0);
  for (std::size_t rank = 1; rank < next.size(); ++rank) {
    next[rank] = next[rank - 1] + rows_of[rank - 1];
  }
  std::vector<std::int32_t> order;
  for (std::int64_t token = 0; token < 50; ++token) {
    order.push_back(static_cast<std::int32_t>(next[owner(token)]++));
  }
  std::vector<float> x(50 * kColumns, -1.0F);
  const auto own_rows = static_cast<std::int64_t>(owned.size()) / kColumns;
  owned.resize(owned.size() + 1);  // never without an address
  region->gather_embeddings(Tensor(owned.data(), DType::f32, {own_rows, kColumns}), rows_of,
                            Tensor(order.data(), DType::i32, {50}),
                            Tensor(x.data(), DType::f32, {50, kColumns}));
  for (std::int64_t i = 0; i < 50 * kColumns; ++i) {
    REQUIRE(x[static_cast<std::size_t>(i)] == static_cast<float>(i / kColumns));
  }
}

}  // namespace weft::test
