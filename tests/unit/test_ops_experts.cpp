// Operators for experts: CPU kernels against the reference implementations.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <numeric>

#include "catch.h"
#include "expert_fixture.h"
#include "ops/make_cpu_ops.h"

namespace weft::testing {
namespace {

void compare(const ExpertProduct& p) {
  const std::vector<std::byte> expected = bytes_of(reference(), multiply(reference(), p));
  for (const auto& ops : implementations()) {
    INFO(ops->description() << ": " << p.pairs() << " pairs of " << p.ends.size() << " experts, N="
                            << p.outputs << " K=" << p.cut.columns() << " " << name(p.dtype));
    CHECK((bytes_of(*ops, multiply(*ops, p)) == expected));
  }
}

TEST_CASE("expert_linear equals the reference bit for bit", "[ops][experts]") {
  Random random(11);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const std::int64_t pairs : {0, 1, 2, 8, 13, 60, 250}) {
      const std::int64_t k = random.between(1, 150);
      const Segments segments = Segments::cut(k, 16, 4);
      const std::int64_t experts = random.between(1, 9);
      compare(random_product(random, uneven(random, experts, pairs), random.between(1, 20),
                             random.between(2, 70), segments, {0, segments.count()}, dtype));
    }
    // Each part of the tree, pairs in order.
    const Segments segments = Segments::cut(16 * 7 + 5, 16, 4);
    for (std::int64_t begin = 0; begin < 4; ++begin) {
      for (std::int64_t end = begin + 1; end <= 4; ++end) {
        ExpertProduct p = random_product(random, {3, 0, 14}, 17, 40, segments, {begin, end}, dtype);
        p.index.clear();
        compare(p);
      }
    }
  }
}

TEST_CASE("expert_linear over several passes and one favoured expert", "[ops][experts]") {
  Random random(12);
  const Segments segments = Segments::cut(48, 16, 4);
  compare(random_product(random, {5, 900, 0, 140}, 300, 66, segments, {0, 2}, DType::bf16));
}

TEST_CASE("a pair's product is a plain product's row", "[ops][experts]") {
  Random random(13);
  const auto ops = make_cpu_ops(2);
  const Segments segments = Segments::cut(100, 16, 4);
  const ExpertProduct p =
      random_product(random, {1, 5, 40}, 9, 50, segments, {0, segments.count()}, DType::bf16);
  const std::vector<std::byte> bytes = bytes_of(*ops, multiply(*ops, p));
  const Array x = array(*ops, p.x, p.dtype, {p.rows, p.cut.columns()});
  std::int64_t begin = 0;
  for (std::size_t e = 0; e < p.w.size(); ++e) {
    const Matrix w = matrix(*ops, p.w[e], p.outputs, p.dtype, p.cut);
    const Array whole = poisoned(*ops, DType::f32, {1, p.rows, p.outputs});
    ops->linear(x.tensor, w, whole.tensor);
    const std::vector<std::byte> rows = bytes_of(*ops, whole);
    const std::int64_t row_bytes = p.outputs * 4;
    for (; begin < p.ends[e]; ++begin) {
      const auto row = p.index[static_cast<std::size_t>(begin)];
      REQUIRE(std::equal(bytes.begin() + begin * row_bytes, bytes.begin() + (begin + 1) * row_bytes,
                         rows.begin() + row * row_bytes));
    }
  }
}

TEST_CASE("pairs beyond the last expert's are left alone", "[ops][experts]") {
  Random random(18);
  const Segments segments = Segments::cut(150, 16, 4);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const std::vector<std::int64_t>& counts :
         {std::vector<std::int64_t>{0, 0}, {3, 0, 14}, {130, 7}}) {
      ExpertProduct p = random_product(random, counts, 17, 40, segments, {0, 4}, dtype);
      p.beyond = 9;
      p.index.resize(static_cast<std::size_t>(p.pairs()), kUnwritten);
      compare(p);
      const Array out = multiply(reference(), p);
      const std::vector<std::byte> bytes = bytes_of(reference(), out);
      const auto node = static_cast<std::size_t>(p.pairs() * p.outputs) * 4;
      const auto tail = static_cast<std::size_t>(p.beyond * p.outputs) * 4;
      for (std::size_t end = node; end <= bytes.size(); end += node) {
        REQUIRE(std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(end - tail),
                            bytes.begin() + static_cast<std::ptrdiff_t>(end),
                            [](std::byte byte) { return byte == std::byte{0xff}; }));
      }
    }
  }
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
  });
}

TEST_CASE("route equals the reference bit for bit", "[ops][experts]") {
  Random random(14);
  for (const std::int64_t experts : {1, 2, 8, 15, 16, 17, 60, 128}) {
    for (const std::int64_t k : {1, 2, 8}) {
      if (k > experts) continue;
      const std::int64_t rows = 33;
      const std::vector<float> logits = random.wides(rows * experts, 6);
      for (const bool normalise : {false, true}) {
        const Routing expected = route(reference(), logits, rows, k, normalise);
        for (const auto& ops : implementations()) {
          INFO(ops->description() << ": " << k << " of " << experts);
          const Routing found = route(*ops, logits, rows, k, normalise);
          CHECK(found.experts == expected.experts);
          CHECK(same_bits(found.weights, expected.weights));
          CHECK(found.loads == expected.loads);
        }
      }
    }
  }
}

TEST_CASE("rows of padding choose no expert, and others as without them", "[ops][experts]") {
  Random random(19);
  constexpr std::int64_t kRows = 20;
  const std::vector<std::int32_t> slots = {5, -1, 0, -1, -1, 90, 7, 8, 2, 1,
                                           3, 4,  6, -1, 9,  10, 1, 1, 0, -1};
  const auto check = [&](Ops& ops, std::int64_t experts, std::int64_t k, bool normalise,
                         const std::vector<float>& logits) {
    const Routing whole = route(ops, logits, kRows, k, normalise);
    const Routing padded = route(ops, logits, kRows, k, normalise, slots);
    std::vector<std::int32_t> loads(static_cast<std::size_t>(experts), 3);
    for (std::size_t pair = 0; pair < padded.experts.size(); ++pair) {
      const bool none = slots[pair / static_cast<std::size_t>(k)] < 0;
      REQUIRE(padded.experts[pair] == (none ? kNoExpert : whole.experts[pair]));
      REQUIRE(padded.weights[pair] == (none ? 0.0F : whole.weights[pair]));
      if (!none) ++loads[static_cast<std::size_t>(padded.experts[pair])];
    }
    REQUIRE(padded.loads == loads);
  };
  for (const std::int64_t experts : {2, 16, 60}) {
    for (const std::int64_t k : {1, 2, 8}) {
      if (k > experts) continue;
      const std::vector<float> logits = random.wides(kRows * experts, 6);
      for (const bool normalise : {false, true}) {
        check(reference(), experts, k, normalise, logits);
        for (const auto& ops : implementations()) check(*ops, experts, k, normalise, logits);
      }
    }
  }
}

TEST_CASE("route takes the most probable, the lower expert among equals", "[ops][experts]") {
  const auto check = [](Ops& ops) {
    const Routing tied = route(ops, {1, 3, 3, 0, 3, -200, -200, -200}, 1, 6, false);
    CHECK(tied.experts == std::vector<std::int32_t>{1, 2, 4, 0, 3, 5});  // the last ones are 0
    CHECK(tied.weights[0] == tied.weights[2]);
    CHECK(tied.weights[5] == 0.0F);
    const Routing whole = route(ops, {0.5F, -1, 2, 0}, 1, 4, true);
    const float sum = std::accumulate(whole.weights.begin(), whole.weights.end(), 0.0F);
    CHECK(sum == Approx(1).epsilon(1e-6));
    CHECK(whole.weights[0] == Approx(0.71010F).epsilon(1e-4));
    // Nothing sensible to choose from: still k different experts.
    const float nan = std::nanf("");
    CHECK(route(ops, {nan, nan, nan}, 1, 2, true).experts == std::vector<std::int32_t>{0, 1});
  };
  check(reference());
  for (const auto& ops : implementations()) check(*ops);
}

TEST_CASE("sort_pairs keeps the rows' order and says where each pair went", "[ops][experts]") {
  Random random(17);
  for (const auto& [rows, k, experts, copies] : kSorts) {
    const std::vector<std::int32_t> chosen = choices(random, rows, k, experts);
    const Sorted expected = sorted(reference(), chosen, k, experts, copies);
    for (const auto& ops : implementations()) {
      INFO(rows << " rows, " << k << " of " << experts << " experts, " << copies << " copies");
      CHECK(sorted(*ops, chosen, k, experts, copies) == expected);
    }
    CHECK(std::is_sorted(expected.ends.begin(), expected.ends.end()));
    for (std::size_t pair = 0; pair < chosen.size() && copies > 0; ++pair) {
      const auto place =
          static_cast<std::size_t>(expected.places[pair * static_cast<std::size_t>(copies)]);
      const auto expert = static_cast<std::size_t>(chosen[pair]);
      REQUIRE(place < static_cast<std::size_t>(expected.ends[expert]));
      REQUIRE((expert == 0 || place >= static_cast<std::size_t>(expected.ends[expert - 1])));
      REQUIRE(expected.rows[place] == static_cast<std::int32_t>(pair) / k);
    }
    if (rows == 0) continue;
    // Rows that choose no expert have no place, and take none of others.
    std::vector<std::int32_t> fewer = chosen;
    sample_none(random, fewer, k);
    std::vector<std::int32_t> rest;
    std::copy_if(fewer.begin(), fewer.end(), std::back_inserter(rest),
                 [](std::int32_t expert) { return expert >= 0; });
    const Sorted holes = sorted(reference(), fewer, k, experts, copies);
    for (const auto& ops : implementations()) {
      CHECK(sorted(*ops, fewer, k, experts, copies) == holes);
    }
    const Sorted dense = sorted(reference(), rest, k, experts, copies);
    REQUIRE(holes.ends == dense.ends);
    std::size_t at = 0;  // among the pairs that are left
    for (std::size_t pair = 0; pair < fewer.size(); ++pair) {
      for (std::size_t copy = 0; copy < static_cast<std::size_t>(copies); ++copy) {
        const std::int32_t place = holes.places[pair * static_cast<std::size_t>(copies) + copy];
        if (fewer[pair] < 0) {
          REQUIRE(place == -1);
          continue;
        }
        const auto first = static_cast<std::int32_t>(copy * fewer.size());
        const auto dense_first = static_cast<std::int32_t>(copy * rest.size());
        REQUIRE(place - first ==
                dense.places[at * static_cast<std::size_t>(copies) + copy] - dense_first);
        REQUIRE(holes.rows[static_cast<std::size_t>(place - first)] ==
                static_cast<std::int32_t>(pair) / k);
      }
      if (fewer[pair] >= 0) ++at;
    }
    CHECK(std::all_of(holes.rows.begin() + holes.ends.back(), holes.rows.end(),
                      [](std::int32_t row) { return row == kUnwritten; }));
  }
}

TEST_CASE("combine equals the reference bit for bit, other orders do not", "[ops][experts]") {
  Random random(15);
  const std::vector<std::vector<TreeNode>> trees = {
      {{0, 0}}, {{1, 0}, {1, 1}}, {{0, 0}, {0, 1}, {1, 1}}, {{0, 0}, {0, 1}, {0, 2}, {0, 3}}};
  for (const auto& nodes : trees) {
    for (const std::int64_t m : {1, 3, 20}) {
      const std::int64_t columns = random.between(1, 200);
      constexpr std::int64_t k = 4;
      constexpr std::int64_t part_rows = 50;
      const std::vector<float> parts = random.wides(part_rows * columns);
      const std::vector<float> weights = random.uniforms(m * k, 0.0F, 1.0F);
      std::vector<std::int32_t> rows;
      for (std::size_t i = 0; i < static_cast<std::size_t>(m * k) * nodes.size(); ++i) {
        rows.push_back(static_cast<std::int32_t>(random.between(0, part_rows - 1)));
      }
      const auto expected = combined(reference(), nodes, parts, columns, rows, weights, m);
      for (const auto& ops : implementations()) {
        INFO(ops->description() << ": " << m << " rows, " << nodes.size() << " nodes");
        CHECK((combined(*ops, nodes, parts, columns, rows, weights, m) == expected));
      }
      // A row's experts the other way round.
      auto other_rows = rows;
      auto other_weights = weights;
      const auto per_expert = static_cast<std::ptrdiff_t>(nodes.size());
      for (std::int64_t row = 0; row < m; ++row) {
        for (std::int64_t j = 0; j < k; ++j) {
          std::copy_n(rows.begin() + (row * k + j) * per_expert, per_expert,
                      other_rows.begin() + (row * k + k - 1 - j) * per_expert);
          other_weights[static_cast<std::size_t>(row * k + k - 1 - j)] =
              weights[static_cast<std::size_t>(row * k + j)];
        }
      }
      // A row without its second expert: as if that one's weight were 0, but for the sign of zeros.
      auto fewer_rows = rows;
      auto fewer_weights = weights;
      std::fill_n(fewer_rows.begin() + per_expert, per_expert, -1);
      fewer_weights[1] = 0;
      const auto fewer = combined(reference(), nodes, parts, columns, fewer_rows, weights, m);
      const std::vector<std::byte> zeroed =
          combined(reference(), nodes, parts, columns, rows, fewer_weights, m);
      const auto value = [](const std::vector<std::byte>& bytes, std::int64_t i) {
        float number = 0;
        std::memcpy(&number, bytes.data() + i * 4, sizeof number);
        return number;
      };
      for (std::int64_t i = 0; i < m * columns; ++i) REQUIRE(value(fewer, i) == value(zeroed, i));
      for (const auto& ops : implementations()) {
        CHECK((combined(*ops, nodes, parts, columns, fewer_rows, weights, m) == fewer));
      }
      if (m * columns < 40) continue;
      CHECK_FALSE((combined(*implementations().front(), nodes, parts, columns, other_rows,
                            other_weights, m) == expected));
    }
  }
}

TEST_CASE("add_gated equals the reference bit for bit", "[ops][experts]") {
  Random random(16);
  for (const std::int64_t columns : {1, 16, 100}) {
    const std::int64_t m = 13;
    const std::vector<float> gate = random.wides(m, 5);
    const std::vector<float> x = random.wides(m * columns);
    const std::vector<float> sum = random.wides(m * columns);
    const auto expected = gated(reference(), gate, x, sum);
    for (const auto& ops : implementations()) CHECK((gated(*ops, gate, x, sum) == expected));
  }
}

}  // namespace
}  // namespace weft::testing
