// Operators of layers with experts, on a GPU or the emulation, against the reference
// implementations.
#include <algorithm>
#include <cmath>

#include "catch.h"
#include "compare.h"
#include "expert_fixture.h"

namespace weft::testing {
namespace {

void compare(const ExpertProduct& p) {
  INFO(p.pairs() << " pairs of " << p.ends.size() << " experts, N=" << p.outputs
                 << " K=" << p.cut.columns() << " " << name(p.dtype));
  const std::vector<float> is = floats_of(device(), multiply(device(), p));
  const std::vector<float> references = floats_of(reference(), multiply(reference(), p));
  if (p.dtype == DType::f32) {
    CHECK((is == references));
  } else {
    check_products(is, references, 1e-5);
  }
}

TEST_CASE("expert_linear with every width of tiles", "[cuda][experts]") {
  Random random(41);
  const Segments segments = Segments::cut(150, 16, 4);
  const Range all{0, segments.count()};
  for (const DType dtype : {DType::bf16, DType::f32}) {
    compare(random_product(random, {0}, 3, 20, segments, all, dtype, false));
    compare(random_product(random, {0, 1, 0}, 3, 20, segments, all, dtype, false));
    // About 3, 9, 20, 40 and 90 pairs of each expert, which decides between kernels.
    for (const std::int64_t mean : {3, 9, 20, 40, 90}) {
      const std::int64_t experts = mean > 20 ? 3 : 7;
      compare(random_product(random, uneven(random, experts, experts * mean), random.between(1, 30),
                             random.between(2, 150), segments, all, dtype, false));
    }
    // One favoured expert, and more experts than lanes.
    compare(random_product(random, {2, 0, 150, 0, 1}, 9, 34, segments, all, dtype, false));
    std::vector<std::int64_t> many(70, 0);
    for (const std::size_t expert : {0, 1, 33, 64, 69}) many[expert] = 11;
    compare(random_product(random, many, 12, 18, segments, all, dtype, false));
  }
}

TEST_CASE("pairs beyond the last expert's are left alone on GPUs", "[cuda][experts]") {
  Random random(47);
  const Segments segments = Segments::cut(150, 16, 4);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    // About 3, 9, 20, 40 and 90 pairs of each expert, as above.
    for (const std::int64_t mean : {0, 3, 9, 20, 40, 90}) {
      ExpertProduct p = random_product(random, {mean, 2 * mean, 0}, 9, 34, segments,
                                       {0, segments.count()}, dtype, false);
      p.beyond = 1 + mean;
      p.index.resize(static_cast<std::size_t>(p.pairs()), kUnwritten);
      const std::vector<float> is = floats_of(device(), multiply(device(), p));
      ExpertProduct within = p;
      within.beyond = 0;
      within.index.resize(static_cast<std::size_t>(within.pairs()));
      const std::vector<float> expected = floats_of(device(), multiply(device(), within));
      const auto outputs = static_cast<std::size_t>(p.outputs);
      const auto pairs = static_cast<std::size_t>(p.pairs());
      const auto live = static_cast<std::size_t>(within.pairs());
      for (std::size_t i = 0; i < is.size(); ++i) {
        const std::size_t pair = i / outputs % pairs;
        if (pair >= live) {
          REQUIRE(std::isnan(is[i]));  // as it was
          continue;
        }
        REQUIRE(is[i] == expected[(i / outputs / pairs * live + pair) * outputs + i % outputs]);
      }
    }
  }
}

TEST_CASE("expert_linear over every part of a tree, pairs in order", "[cuda][experts]") {
  Random random(42);
  const Segments segments = Segments::cut(16 * 7 + 5, 16, 4);
  for (std::int64_t begin = 0; begin < 4; ++begin) {
    for (std::int64_t end = begin + 1; end <= 4; ++end) {
      for (const DType dtype : {DType::bf16, DType::f32}) {
        ExpertProduct p =
            random_product(random, {3, 0, 14}, 17, 40, segments, {begin, end}, dtype, false);
        p.index.clear();
        compare(p);
      }
    }
  }
}

TEST_CASE("a pair's product is a plain product's row on GPUs", "[cuda][experts]") {
  // To the bit on every processor: tiles of pairs and kernels do not show.
  Random random(43);
  const Segments segments = Segments::cut(170, 16, 4);
  for (const std::vector<std::int64_t>& counts :
       {std::vector<std::int64_t>{1, 5, 0, 3}, {1, 5, 40}, {30, 1, 70}, {200, 7, 20}}) {
    const ExpertProduct p =
        random_product(random, counts, 9, 50, segments, {0, 4}, DType::bf16, false);
    for (int variant = 0; variant < kVariants; ++variant) {
      const auto ops = make_device(variant);
      const std::vector<float> found = floats_of(*ops, multiply(*ops, p));
      const Array x = array(*ops, p.x, p.dtype, {p.rows, p.cut.columns()});
      std::int64_t begin = 0;
      for (std::size_t e = 0; e < p.w.size(); ++e) {
        const Matrix w = matrix(*ops, p.w[e], p.outputs, p.dtype, p.cut);
        const Array whole = poisoned(*ops, DType::f32, {1, p.rows, p.outputs});
        ops->linear(x.tensor, w, whole.tensor);
        const std::vector<float> rows = floats_of(*ops, whole);
        for (; begin < p.ends[e]; ++begin) {
          const auto row = p.index[static_cast<std::size_t>(begin)];
          REQUIRE(std::equal(found.begin() + begin * p.outputs,
                             found.begin() + (begin + 1) * p.outputs,
                             rows.begin() + row * p.outputs));
        }
      }
    }
  }
}

TEST_CASE("route", "[cuda][experts]") {
  Random random(44);
  for (const std::int64_t experts : {1, 2, 8, 15, 16, 17, 60, 128, 300}) {
    for (const std::int64_t k : {1, 2, 8}) {
      if (k > experts) continue;
      const std::int64_t rows = random.between(1, 13);
      std::vector<float> logits = random.wides(rows * experts, 6);
      if (experts > 8) {  // equal ones, too
        for (float& logit : logits) logit = std::floor(logit);
      }
      for (const bool normalise : {false, true}) {
        INFO(k << " of " << experts);
        const Routing is = route(device(), logits, rows, k, normalise);
        const Routing references = route(reference(), logits, rows, k, normalise);
        CHECK(is.experts == references.experts);
        CHECK((is.weights == references.weights));
        CHECK(is.loads == references.loads);
        // Every other row is padding.
        std::vector<std::int32_t> slots;
        for (std::int64_t row = 0; row < rows; ++row) {
          slots.push_back(row % 2 == 0 ? -1 : static_cast<std::int32_t>(row));
        }
        const Routing some = route(device(), logits, rows, k, normalise, slots);
        const Routing some_references = route(reference(), logits, rows, k, normalise, slots);
        CHECK(some.experts == some_references.experts);
        CHECK((some.weights == some_references.weights));
        CHECK(some.loads == some_references.loads);
      }
    }
  }
  const float nan = std::nanf("");
  CHECK(route(device(), {nan, nan, nan}, 1, 2, true).experts == std::vector<std::int32_t>{0, 1});
}

TEST_CASE("sort_pairs", "[cuda][experts]") {
  Random random(45);
  for (const auto& [rows, k, experts, copies] : kSorts) {
    INFO(rows << " rows, " << k << " of " << experts << " experts, " << copies << " copies");
    const std::vector<std::int32_t> chosen = choices(random, rows, k, experts);
    const bool same = sorted(device(), chosen, k, experts, copies) ==
                      sorted(reference(), chosen, k, experts, copies);
    CHECK(same);
    if (rows == 0) continue;
    std::vector<std::int32_t> fewer = chosen;
    sample_none(random, fewer, k);
    const bool same_holes = sorted(device(), fewer, k, experts, copies) ==
                            sorted(reference(), fewer, k, experts, copies);
    CHECK(same_holes);
  }
}

TEST_CASE("combine and add_gated", "[cuda][experts]") {
  Random random(46);
  const std::vector<std::vector<TreeNode>> trees = {
      {{0, 0}}, {{1, 0}, {1, 1}}, {{0, 0}, {0, 1}, {1, 1}}, {{0, 0}, {0, 1}, {0, 2}, {0, 3}}};
  for (const auto& nodes : trees) {
    for (const std::int64_t m : {1, 3, 20}) {
      const std::int64_t columns = random.between(1, 300);
      constexpr std::int64_t k = 4;
      const std::vector<float> parts = random.wides(50 * columns);
      const std::vector<float> weights = random.uniforms(m * k, 0.0F, 1.0F);
      std::vector<std::int32_t> rows;
      for (std::size_t i = 0; i < static_cast<std::size_t>(m * k) * nodes.size(); ++i) {
        rows.push_back(static_cast<std::int32_t>(random.between(0, 49)));
      }
      same_bits([&](Ops& ops) { return combined(ops, nodes, parts, columns, rows, weights, m); });
      std::fill_n(rows.end() - static_cast<std::ptrdiff_t>(2 * nodes.size()), nodes.size(), -1);
      same_bits([&](Ops& ops) { return combined(ops, nodes, parts, columns, rows, weights, m); });
      const std::vector<float> gate = random.wides(m, 5);
      const std::vector<float> x = random.wides(m * columns);
      const std::vector<float> sum = random.wides(m * columns);
      same_bits([&](Ops& ops) { return gated(ops, gate, x, sum); });
    }
  }
}

}  // namespace
}  // namespace weft::testing
