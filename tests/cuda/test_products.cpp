// Products with packed matrices on a GPU (or the emulation) against the reference implementation.
#include <tuple>

#include "catch.h"
#include "compare.h"

namespace weft::testing {
namespace {

struct Product {
  std::int64_t rows;
  std::int64_t outputs;
  KCut cut;
  DType dtype;
  std::vector<float> x;
  std::vector<float> w;
};

Product random_product(Random& random, std::int64_t rows, std::int64_t outputs,
                       const Segments& segments, Range leaves, DType dtype) {
  Product p{rows, outputs, KCut::of(segments, leaves), dtype, {}, {}};
  // Exponents as wide as products of bf16 stay normal numbers: tensor cores may flush others.
  p.x = random.uniforms(rows * p.cut.columns(), -2, 2);
  p.w = random.uniforms(outputs * p.cut.columns(), -2, 2);
  for (std::size_t i = 0; i < p.x.size(); i += 7) p.x[i] *= 0x1p12F;
  for (std::size_t i = 0; i < p.w.size(); i += 11) p.w[i] *= 0x1p-12F;
  return p;
}

std::vector<float> multiply(Ops& ops, const Product& p) {
  const Array x = array(ops, p.x, p.dtype, {p.rows, p.cut.columns()});
  const Matrix w = matrix(ops, p.w, p.outputs, p.dtype, p.cut);
  const Array out =
      poisoned(ops, DType::f32, {static_cast<std::int64_t>(p.cut.nodes.size()), p.rows, p.outputs});
  ops.linear(x.tensor, w, out.tensor);
  return floats_of(ops, out);
}

void compare(const Product& p) {
  INFO("M=" << p.rows << " N=" << p.outputs << " K=" << p.cut.columns() << " " << p.cut.ends.size()
            << " leaves " << name(p.dtype));
  const std::vector<float> references = multiply(reference(), p);
  for (int variant = 0; variant < (p.dtype == DType::f32 ? 1 : kVariants); ++variant) {
    INFO("variant " << variant);
    const std::vector<float> is = multiply(*make_device(variant), p);
    if (p.dtype == DType::f32) {
      CHECK((is == references));
    } else {
      check_products(is, references, 1e-5);
    }
  }
}

TEST_CASE("products with few rows", "[cuda][linear]") {
  Random random(1);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (std::int64_t rows = 0; rows <= 16; rows += rows < 4 ? 1 : 3) {
      const std::int64_t k = random.between(1, 300);
      const Segments segments = Segments::cut(k, 16, 4);
      compare(random_product(random, rows, random.between(1, 70), segments, {0, segments.count()},
                             dtype));
    }
  }
}

TEST_CASE("products with many rows", "[cuda][linear]") {
  Random random(2);
  for (const auto& [rows, outputs, k, cap] : {std::tuple{17, 130, 200, 1},
                                              {33, 65, 150, 2},
                                              {65, 129, 300, 8},
                                              {130, 257, 96, 4},
                                              {70, 40, 1100, 16},
                                              {300, 16, 70, 4}}) {
    const Segments segments = Segments::cut(k, 16, cap);
    compare(random_product(random, rows, outputs, segments, {0, segments.count()}, DType::bf16));
  }
  const Segments segments = Segments::cut(200, 16, 8);
  compare(random_product(random, 40, 130, segments, {0, 8}, DType::f32));
}

TEST_CASE("products over every part of a tree", "[cuda][linear]") {
  Random random(3);
  const Segments segments = Segments::cut(16 * 11 + 5, 16, 8);
  for (std::int64_t begin = 0; begin <= 8; ++begin) {
    for (std::int64_t end = begin; end <= 8; ++end) {
      const std::int64_t rows = random.between(1, 20);
      compare(
          random_product(random, rows, random.between(1, 40), segments, {begin, end}, DType::bf16));
    }
  }
}

TEST_CASE("products of segments that are no multiples of a unit's depth", "[cuda][linear]") {
  Random random(4);
  for (const std::int64_t head_dim : {12, 10, 24, 40, 80}) {
    const Segments segments = Segments::cut(6 * head_dim, head_dim, 8);
    for (const std::int64_t rows : {3, 40}) {
      compare(random_product(random, rows, 48, segments, {1, segments.count()}, DType::bf16));
    }
  }
}

TEST_CASE("a row of a product does not depend on the other rows", "[cuda][linear]") {
  Random random(5);
  const Segments segments = Segments::cut(400, 16, 4);
  const Product all = random_product(random, 140, 150, segments, {0, 4}, DType::bf16);
  for (int variant = 0; variant < kVariants; ++variant) {
    const auto ops = make_device(variant);
    const std::vector<float> together = multiply(device(), all);
    for (const auto& [first, count] : {std::pair{0, 140},
                                       {0, 1},
                                       {139, 1},
                                       {3, 8},
                                       {20, 9},
                                       {60, 16},
                                       {7, 17},
                                       {30, 64},
                                       {10, 65}}) {
      INFO("variant " << variant << ": rows " << first << " + " << count);
      Product part = all;
      part.rows = count;
      part.x.assign(all.x.begin() + first * 400, all.x.begin() + (first + count) * 400);
      const std::vector<float> alone = multiply(*ops, part);
      CHECK(std::equal(alone.begin(), alone.end(), together.begin() + first * 150));
    }
  }
}

TEST_CASE("products of strided rows", "[cuda][linear]") {
  Random random(6);
  const Segments segments = Segments::cut(72, 16, 4);
  const std::vector<float> values = random.uniforms(20 * 3 * 72, -1, 1);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const std::int64_t rows : {5, 20}) {
      const auto run = [&](Ops& ops) {
        const Array wide = array(ops, values, dtype, {20, 3, 72});
        const Matrix w =
            matrix(ops, Random(7).uniforms(40 * 72, -1, 1), 40, dtype, KCut::of(segments, {0, 4}));
        std::vector<float> all;
        for (std::int64_t m = 0; m < rows; ++m) {
          // One row at a time: a view whose stride is another row's.
          const Tensor row(wide.tensor.slice(m, m + 1).data(), dtype, {1, 72});
          const Array out = poisoned(ops, DType::f32, {1, 1, 40});
          ops.linear(row, w, out.tensor);
          const std::vector<float> part = floats_of(ops, out);
          all.insert(all.end(), part.begin(), part.end());
        }
        return all;
      };
      check_products(run(device()), run(reference()), 1e-5);
    }
  }
}

TEST_CASE("linear_swiglu: products of gates and ups", "[cuda][linear][swiglu]") {
  Random random(9);
  for (const auto& [features, cap] : {std::pair{48, 4}, {16, 1}, {80, 8}, {160, 2}, {20, 4}}) {
    for (const std::int64_t rows : {0, 1, 8, 13, 30, 50, 140}) {
      const Segments segments = Segments::cut(200, 16, cap);
      const Product p =
          random_product(random, rows, 2 * features, segments, {0, segments.count()}, DType::bf16);
      for (int variant = 0; variant < kVariants; ++variant) {
        INFO("M=" << rows << " F=" << features << " " << cap << " leaves, variant " << variant);
        const auto ops = make_device(variant);
        const auto run = [&](Ops& on) {
          const Array x = array(on, p.x, p.dtype, {p.rows, p.cut.columns()});
          const Matrix w = matrix(on, p.w, p.outputs, p.dtype, p.cut);
          const Array wide = poisoned(on, DType::f32, {rows, p.outputs});
          const Array out = poisoned(on, DType::bf16, {rows, p.outputs / 2});
          on.linear_swiglu(x.tensor, w, wide.tensor, out.tensor);
          return floats_of(on, out);
        };
        check_products(run(*ops), run(reference()), 1e-2);
      }
    }
  }
}

TEST_CASE("weights come back from a packed table", "[cuda][embed]") {
  Random random(8);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    const KCut cut = KCut::of(Segments::cut(300, 16, 4), {0, 4});
    const std::vector<float> table = random.wides(70 * 300);
    const auto run = [&](Ops& ops) {
      const Matrix w = matrix(ops, table, 70, dtype, cut);
      const Array out = poisoned(ops, DType::f32, {10, 300});
      const Array rows = ints(ops, {0, 69, 31, -1, 32, 5, 5, 64, -7, 1});
      ops.embed(w, rows.tensor, out.tensor);
      return bytes_of(ops, out);
    };
    CHECK((run(device()) == run(reference())));
  }
}

}  // namespace
}  // namespace weft::testing
