// Products with packed matrices, and embedding: CPU kernels against the reference implementation.
#include <algorithm>
#include <cmath>

#include "catch.h"
#include "ops/isa.h"
#include "ops_testing.h"

namespace weft::testing {
namespace {

struct Product {
  std::int64_t rows;     // M
  std::int64_t outputs;  // N
  KCut cut;
  DType dtype;
  std::vector<float> x;
  std::vector<float> w;
};

Product random_product(Random& random, std::int64_t rows, std::int64_t outputs,
                       const Segments& segments, Range leaves, DType dtype) {
  Product p{rows, outputs, KCut::of(segments, leaves), dtype, {}, {}};
  p.x = random.wides(rows * p.cut.columns());
  p.w = random.wides(outputs * p.cut.columns());
  return p;
}

std::vector<std::byte> multiply(Ops& ops, const Product& p) {
  const Array x = array(ops, p.x, p.dtype, {p.rows, p.cut.columns()});
  const Matrix w = matrix(ops, p.w, p.outputs, p.dtype, p.cut);
  const Array out =
      poisoned(ops, DType::f32, {static_cast<std::int64_t>(p.cut.nodes.size()), p.rows, p.outputs});
  ops.linear(x.tensor, w, out.tensor);
  return bytes_of(ops, out);
}

void compare(const Product& p) {
  const std::vector<std::byte> expected = multiply(reference(), p);
  for (const auto& ops : implementations()) {
    INFO(ops->description() << ": M=" << p.rows << " N=" << p.outputs << " K=" << p.cut.columns()
                            << " " << name(p.dtype));
    CHECK((multiply(*ops, p) == expected));
  }
}

std::vector<float> floats(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / 4);
  if (!values.empty())
    std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(values)).begin());
  return values;
}

TEST_CASE("linear equals the reference bit for bit", "[ops][linear]") {
  Random random(1);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    // Every height of register tile, and one row more or less than whole tiles.
    for (std::int64_t rows = 1; rows <= 27; ++rows) {
      const std::int64_t k = random.between(1, 150);
      const Segments segments = Segments::cut(k, 16, 4);
      compare(random_product(random, rows, random.between(1, 70), segments, {0, segments.count()},
                             dtype));
    }
  }
}

TEST_CASE("leaves may begin at odd columns", "[ops][linear]") {
  Random random(6);
  const Segments segments = Segments::cut(15 * 4 + 7, 15, 4);
  for (const std::int64_t rows : {1, 9, 30}) {
    compare(random_product(random, rows, 33, segments, {0, segments.count()}, DType::bf16));
    compare(random_product(random, rows, 33, segments, {1, 3}, DType::bf16));
  }
}

TEST_CASE("products of bf16 flush denormal numbers, the tree keeps them", "[ops][linear]") {
  const auto value = [](Ops& ops, DType dtype, std::int64_t rows, std::int64_t k, auto x, auto w) {
    const Segments segments = Segments::cut(k, 16, 4);
    Product p{rows, 1, KCut::of(segments, {0, segments.count()}), dtype, {}, {}};
    for (std::int64_t i = 0; i < rows * k; ++i) p.x.push_back(x(i % k));
    for (std::int64_t i = 0; i < k; ++i) p.w.push_back(w(i));
    const std::vector<float> found = floats(multiply(ops, p));
    CHECK(std::all_of(found.begin(), found.end(), [&](float f) { return f == found[0]; }));
    return found[0];
  };
  const auto zeros_but = [](std::vector<float> first) {
    return [first](std::int64_t i) {
      return i < static_cast<std::int64_t>(first.size()) ? first[static_cast<std::size_t>(i)]
                                                         : 0.0F;
    };
  };
  std::vector<Ops*> all = {&reference()};
  for (const auto& ops : implementations()) all.push_back(ops.get());
  for (Ops* const ops : all) {
    for (const std::int64_t rows : {1, 2, 5, 13, 40}) {
      INFO(ops->description() << ": " << rows << " rows");
      const auto bf16 = [&](std::int64_t k, const std::vector<float>& x,
                            const std::vector<float>& w) {
        return value(*ops, DType::bf16, rows, k, zeros_but(x), zeros_but(w));
      };
      // Results, in the first and the second column of a pair, and alone.
      for (const std::int64_t k : {1, 2, 3, 16}) {
        CHECK(bf16(k, {0x1p-70F}, {0x1p-70F}) == 0.0F);
        CHECK(value(*ops, DType::f32, rows, k, zeros_but({0x1p-70F}), zeros_but({0x1p-70F})) ==
              0x1p-140F);
      }
      CHECK(bf16(2, {0, 0x1p-70F}, {0, 0x1p-70F}) == 0.0F);
      // A zero keeps its sign where nothing follows it.
      CHECK(std::signbit(bf16(1, {-0x1p-70F}, {0x1p-70F})));
      CHECK(std::signbit(bf16(2, {0, -0x1p-70F}, {0, 0x1p-70F})));
      CHECK(std::signbit(bf16(3, {0, 0, -0x1p-70F}, {0, 0, 0x1p-70F})));
      // 1.5 * 2^-126 - 2^-126 is flushed before it is doubled; the first sum is normal.
      CHECK(bf16(3, {0x1.8p-63F, -0x1p-63F, 0}, {0x1p-63F, 0x1p-63F, 0}) == 0.0F);
      CHECK(bf16(3, {0x1.8p-63F, -0x1p-63F, 0x1p-63F}, {0x1p-63F, 0x1p-63F, 0x1p-63F}) ==
            0x1p-126F);
      // Operands.
      CHECK(bf16(2, {0x1p-127F, 1}, {0x1p100F, 1}) == 1.0F);
      CHECK(bf16(2, {1, 0x1p100F}, {1, 0x1p-127F}) == 1.0F);
      // Two leaves whose sums are normal, and their root is not.
      std::vector<float> halves(32, 0.0F);
      halves[0] = 0x1.8p-63F;
      halves[16] = -0x1p-63F;
      const std::vector<float> weights(32, 0x1p-63F);
      CHECK(bf16(32, halves, weights) == 0x1p-127F);
    }
  }
}

TEST_CASE("linear over long K, many rows and every part of the tree", "[ops][linear]") {
  Random random(2);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const auto& [rows, outputs, k, cap] : {std::tuple{1, 257, 700, 1},
                                                {2, 65, 1100, 2},
                                                {40, 33, 700, 2},
                                                {65, 96, 300, 8},
                                                {520, 32, 70, 4},
                                                {40, 33, 701, 1},
                                                {60, 70, 701, 1},
                                                {130, 40, 1301, 2},
                                                {130, 1, 47, 16}}) {
      const Segments segments = Segments::cut(k, 16, cap);
      compare(random_product(random, rows, outputs, segments, {0, segments.count()}, dtype));
    }
    const Segments segments = Segments::cut(16 * 11 + 5, 16, 8);
    for (std::int64_t begin = 0; begin <= 8; ++begin) {
      for (std::int64_t end = begin; end <= 8; ++end) {
        const std::int64_t rows = random.between(1, 20);
        compare(random_product(random, rows, random.between(1, 40), segments, {begin, end}, dtype));
      }
    }
  }
}

TEST_CASE("linear accepts empty batches and strided rows", "[ops][linear]") {
  Random random(3);
  const Segments segments = Segments::cut(64, 16, 4);
  compare(random_product(random, 0, 40, segments, {0, 4}, DType::bf16));
  for (const auto& ops : implementations()) {
    const std::vector<float> values = random.wides(9 * 128);
    const Array wide = array(*ops, values, DType::f32, {9, 2, 64});
    std::vector<float> left;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i % 128 < 64) left.push_back(values[i]);
    }
    const Array dense = array(*ops, left, DType::f32, {9, 64});
    const Matrix w =
        matrix(*ops, random.wides(40 * 64), 40, DType::f32, KCut::of(segments, {0, 4}));
    const Array a = poisoned(*ops, DType::f32, {1, 9, 40});
    const Array b = poisoned(*ops, DType::f32, {1, 9, 40});
    for (std::int64_t m = 0; m < 9; ++m) {
      const Tensor row(wide.tensor.slice(m, m + 1).data(), DType::f32, {1, 64});
      ops->linear(row, w, Tensor(a.tensor.as<float>() + m * 40, DType::f32, {1, 1, 40}));
    }
    ops->linear(dense.tensor, w, b.tensor);
    CHECK((bytes_of(*ops, a) == bytes_of(*ops, b)));
  }
}

TEST_CASE("a row of a product does not depend on the other rows", "[ops][linear]") {
  Random random(4);
  const Segments segments = Segments::cut(300, 16, 4);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    const Product all = random_product(random, 65, 100, segments, {0, 4}, dtype);
    for (const auto& ops : implementations()) {
      INFO(ops->description());
      const std::vector<std::byte> together = multiply(*ops, all);
      for (std::int64_t m = 0; m < 65; m += 7) {
        Product one = all;
        one.rows = 1;
        one.x.assign(all.x.begin() + m * 300, all.x.begin() + (m + 1) * 300);
        const std::vector<std::byte> alone = multiply(*ops, one);
        CHECK(std::equal(alone.begin(), alone.end(), together.begin() + m * 400));
      }
    }
  }
}

TEST_CASE("comparisons of products notice another order of additions", "[ops][linear]") {
  Random random(5);
  const std::int64_t k = 128;
  const Segments segments = Segments::cut(k, 16, 4);
  const Product p = random_product(random, 8, 64, segments, {0, 4}, DType::f32);
  const std::vector<float> tree = floats(multiply(*implementations().front(), p));
  const auto leaf = [&](std::size_t m, std::size_t n, std::size_t i) {
    float sum = 0;
    for (std::size_t j = i * 32; j < (i + 1) * 32; ++j) {
      sum = std::fma(p.x[m * 128 + j], p.w[n * 128 + j], sum);
    }
    return sum;
  };
  int equal = 0;
  int serial = 0;
  int straight = 0;
  int halves = 0;
  for (std::size_t m = 0; m < 8; ++m) {
    for (std::size_t n = 0; n < 64; ++n) {
      const float is = tree[m * 64 + n];
      const float l[4] = {leaf(m, n, 0), leaf(m, n, 1), leaf(m, n, 2), leaf(m, n, 3)};
      equal += is == (l[0] + l[1]) + (l[2] + l[3]);
      serial += is != ((l[0] + l[1]) + l[2]) + l[3];
      float sum = 0;
      for (std::size_t j = 0; j < 128; ++j) sum = std::fma(p.x[m * 128 + j], p.w[n * 128 + j], sum);
      straight += is != sum;
      float even = 0;
      float odd = 0;
      for (std::size_t j = 0; j < 128; j += 2) {
        even = std::fma(p.x[m * 128 + j], p.w[n * 128 + j], even);
        odd = std::fma(p.x[m * 128 + j + 1], p.w[n * 128 + j + 1], odd);
      }
      halves += is != even + odd;
    }
  }
  CHECK(equal == 512);
  CHECK(serial > 0);
  CHECK(straight > 0);
  CHECK(halves > 0);
}

TEST_CASE("products are accurate", "[ops][linear]") {
  Random random(6);
  const std::int64_t k = 1000;
  const Segments segments = Segments::cut(k, 16, 8);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    Product p{33, 50, KCut::of(segments, {0, 8}), dtype, {}, {}};
    p.x = rounded(random.uniforms(33 * k, -1, 1), dtype);
    p.w = rounded(random.uniforms(50 * k, -1, 1), dtype);
    const std::vector<float> out = floats(multiply(*implementations().front(), p));
    double worst = 0;
    for (std::size_t m = 0; m < 33; ++m) {
      for (std::size_t n = 0; n < 50; ++n) {
        double sum = 0;
        for (std::size_t j = 0; j < 1000; ++j) sum += double{p.x[m * 1000 + j]} * p.w[n * 1000 + j];
        worst = std::max(worst, std::abs(sum - out[m * 50 + n]));
      }
    }
    CHECK(worst < 2e-5);
  }
}

TEST_CASE("embed equals the reference bit for bit", "[ops][embed]") {
  Random random(7);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    const KCut cut = KCut::of(Segments::cut(900, 16, 4), {0, 4});
    const std::vector<float> table = random.wides(70 * 900);
    const std::vector<std::int32_t> tokens = {0, 69, 31, -1, 32, 5, 5, 64, -7, 1};
    const auto run = [&](Ops& ops) {
      const Matrix w = matrix(ops, table, 70, dtype, cut);
      const Array out = poisoned(ops, DType::f32, {10, 900});
      ops.embed(w, ints(ops, tokens).tensor, out.tensor);
      return bytes_of(ops, out);
    };
    const std::vector<std::byte> expected = run(reference());
    CHECK(std::isnan(floats(expected)[3 * 900]));
    CHECK(floats(expected)[900] == rounded(table, dtype)[69 * 900]);
    for (const auto& ops : implementations()) CHECK((run(*ops) == expected));
  }
}

TEST_CASE("wrong shapes and types are refused", "[ops]") {
  Ops& ops = *implementations().front();
  const KCut cut = KCut::of(Segments::cut(64, 16, 4), {0, 4});
  const Matrix w = matrix(ops, std::vector<float>(40 * 64), 40, DType::bf16, cut);
  const Array x = poisoned(ops, DType::bf16, {3, 64});
  const Array f32 = poisoned(ops, DType::f32, {3, 64});
  const Array narrow = poisoned(ops, DType::bf16, {3, 63});
  const Array out = poisoned(ops, DType::f32, {1, 3, 40});
  const Array small = poisoned(ops, DType::f32, {1, 2, 40});
  CHECK_NOTHROW(ops.linear(x.tensor, w, out.tensor));
  CHECK_THROWS_AS(ops.linear(f32.tensor, w, out.tensor), Error);
  CHECK_THROWS_AS(ops.linear(narrow.tensor, w, out.tensor), Error);
  CHECK_THROWS_AS(ops.linear(x.tensor, w, small.tensor), Error);
  CHECK_THROWS_AS(ops.pack(w, 38, 0, x.tensor), Error);
  CHECK_THROWS_AS(ops.kv_block_bytes(1, 64, 24, DType::bf16), Error);
  CHECK_THROWS_AS(isa_from_name("sse"), UserError);
  CHECK(isa_from_name("avx2") == Isa::avx2);
}

TEST_CASE("the workspace stays within what is announced", "[ops]") {
  for (const auto& ops : implementations()) {
    const auto threads_ops = ops.get();
    const KCut cut = KCut::of(Segments::cut(512, 16, 16), {0, 16});
    const Bytes before = threads_ops->memory().in_use();
    {
      const Matrix w = matrix(*threads_ops, std::vector<float>(64 * 512), 64, DType::bf16, cut);
      const Array x = poisoned(*threads_ops, DType::bf16, {300, 512});
      const Array out = poisoned(*threads_ops, DType::f32, {1, 300, 64});
      threads_ops->linear(x.tensor, w, out.tensor);
    }
    (void)before;
    CHECK(threads_ops->memory().in_use() <= threads_ops->workspace_bytes(520, 1200, 256));
  }
}

}  // namespace
}  // namespace weft::testing
