// Operators that work row by row: CPU kernels against the reference implementations.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/elementary.h"
#include "catch.h"
#include "ops_testing.h"

namespace weft::testing {
namespace {

constexpr DType kTypes[] = {DType::bf16, DType::f32};

/// Runs on every implementation and demands the reference implementation's bits.
template <class Run>
void same_bits(Run run) {
  const std::vector<std::byte> expected = run(reference());
  for (const auto& ops : implementations()) {
    INFO(ops->description());
    CHECK((run(*ops) == expected));
  }
}

TEST_CASE("rms_norm equals the reference bit for bit", "[ops][norm]") {
  Random random(11);
  for (const DType dtype : kTypes) {
    for (const auto& [rows, columns] :
         {std::pair{0, 16}, {1, 1}, {1, 15}, {3, 16}, {2, 17}, {33, 100}, {5, 2048}, {70, 1024}}) {
      const std::vector<float> x = random.wides(rows * columns);
      const std::vector<float> weight = random.wides(columns, 3);
      same_bits([&](Ops& ops) {
        const Array out = poisoned(ops, dtype, {rows, columns});
        ops.rms_norm(array(ops, x, DType::f32, {rows, columns}).tensor,
                     array(ops, weight, DType::f32, {columns}).tensor, 1e-6F, out.tensor);
        return bytes_of(ops, out);
      });
    }
  }
}

TEST_CASE("rms_norm is accurate and its lanes matter", "[ops][norm]") {
  Random random(12);
  Ops& ops = *implementations().front();
  const std::vector<float> x = random.wides(64 * 500, 6);
  const Array out = poisoned(ops, DType::f32, {64, 500});
  ops.rms_norm(array(ops, x, DType::f32, {64, 500}).tensor,
               array(ops, std::vector<float>(500, 1.0F), DType::f32, {500}).tensor, 1e-6F,
               out.tensor);
  const std::vector<float> y = floats_of(ops, out);
  int other_order = 0;
  for (std::size_t m = 0; m < 64; ++m) {
    double sum = 0;
    float eight[8] = {};
    for (std::size_t i = 0; i < 500; ++i) {
      const float v = x[m * 500 + i];
      sum += double{v} * v;
      eight[i % 8] = std::fma(v, v, eight[i % 8]);
    }
    const double r = 1 / std::sqrt(sum / 500 + 1e-6);
    const float sum8 = ((eight[0] + eight[4]) + (eight[2] + eight[6])) +
                       ((eight[1] + eight[5]) + (eight[3] + eight[7]));
    const float r8 = 1.0F / std::sqrt(sum8 / 500.0F + 1e-6F);
    for (std::size_t i = 0; i < 500; ++i) {
      const double exact = x[m * 500 + i] * r;
      CHECK(std::abs(y[m * 500 + i] - exact) <= 1e-6 * std::abs(exact) + 1e-40);
    }
    other_order += y[m * 500 + 3] != x[m * 500 + 3] * r8;
  }
  CHECK(other_order > 0);
}

TEST_CASE("swiglu equals the reference bit for bit", "[ops][swiglu]") {
  Random random(13);
  for (const DType dtype : kTypes) {
    for (const auto& [rows, features] : {std::pair{0, 8}, {1, 3}, {2, 16}, {7, 100}, {40, 1000}}) {
      const std::vector<float> x = random.wides(rows * 2 * features, 7);
      same_bits([&](Ops& ops) {
        const Array out = poisoned(ops, dtype, {rows, features});
        ops.swiglu(array(ops, x, DType::f32, {rows, 2 * features}).tensor, out.tensor);
        return bytes_of(ops, out);
      });
    }
  }
}

TEST_CASE("swiglu is accurate", "[ops][swiglu]") {
  Random random(14);
  Ops& ops = *implementations().front();
  const std::vector<float> x = random.uniforms(2000, -30, 30);
  const Array out = poisoned(ops, DType::f32, {1, 1000});
  ops.swiglu(array(ops, x, DType::f32, {1, 2000}).tensor, out.tensor);
  const std::vector<float> y = floats_of(ops, out);
  for (std::size_t i = 0; i < 1000; ++i) {
    const double exact = x[i] / (1 + std::exp(-double{x[i]})) * x[1000 + i];
    CHECK(std::abs(y[i] - exact) <= 1e-6 * std::abs(exact));
  }
}

TEST_CASE("add_tree equals the reference bit for bit", "[ops][tree]") {
  Random random(15);
  const std::vector<std::vector<TreeNode>> covers = {
      {{0, 0}},
      {{3, 0}},
      {{0, 0}, {0, 1}},
      {{0, 0}, {0, 1}, {1, 1}},
      {{1, 0}, {0, 2}, {0, 3}, {2, 1}},
      {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {0, 6}, {0, 7}},
      {{2, 0}, {0, 4}, {0, 5}, {1, 3}, {3, 1}}};
  for (const auto& nodes : covers) {
    for (const auto& [rows, columns] :
         {std::pair{0, 40}, {1, 1}, {1, 40000}, {2, 79}, {3, 64}, {50, 300}}) {
      const bool with_bias = random.between(0, 1) == 1;
      std::vector<std::vector<float>> parts;
      for (std::size_t i = 0; i < nodes.size(); ++i) parts.push_back(random.wides(rows * columns));
      const std::vector<float> bias = random.wides(columns);
      const std::vector<float> residual = random.wides(rows * columns);
      same_bits([&](Ops& ops) {
        std::vector<Array> arrays;
        std::vector<Tensor> tensors;
        for (const auto& part : parts) {
          arrays.push_back(array(ops, part, DType::f32, {rows, columns}));
          tensors.push_back(arrays.back().tensor);
        }
        const Array b = array(ops, bias, DType::f32, {columns});
        const Array out = array(ops, residual, DType::f32, {rows, columns});
        ops.add_tree(nodes, tensors, with_bias ? b.tensor : Tensor(), out.tensor);
        return bytes_of(ops, out);
      });
    }
  }
}

TEST_CASE("add_tree takes strided parts, and its order matters", "[ops][tree]") {
  Random random(16);
  const std::vector<TreeNode> nodes = {{0, 0}, {0, 1}, {0, 2}, {0, 3}};
  const std::vector<float> values = random.wides(10 * 4 * 50);
  for (const auto& ops : implementations()) {
    const Array all = array(*ops, values, DType::f32, {10, 4, 50});
    const Array out = array(*ops, std::vector<float>(500, 0.0F), DType::f32, {10, 50});
    for (std::int64_t m = 0; m < 10; ++m) {
      std::vector<Tensor> parts;
      for (std::int64_t i = 0; i < 4; ++i) {
        parts.emplace_back(all.tensor.as<float>() + (m * 4 + i) * 50, DType::f32,
                           std::initializer_list<std::int64_t>{1, 50});
      }
      ops->add_tree(nodes, parts, Tensor(), out.tensor.slice(m, m + 1));
    }
    const std::vector<float> sums = floats_of(*ops, out);
    int serial = 0;
    int reversed = 0;
    for (std::size_t m = 0; m < 10; ++m) {
      for (std::size_t c = 0; c < 50; ++c) {
        const auto v = [&](std::size_t i) { return values[(m * 4 + i) * 50 + c]; };
        const float is = sums[m * 50 + c];
        CHECK(is == (v(0) + v(1)) + (v(2) + v(3)));
        serial += is != ((v(0) + v(1)) + v(2)) + v(3);
        reversed += is != (v(0) + v(3)) + (v(1) + v(2));
      }
    }
    CHECK(serial > 0);
    CHECK(reversed > 0);
  }
  Ops& ops = *implementations().front();
  const Array part = poisoned(ops, DType::f32, {1, 4});
  const Array out = poisoned(ops, DType::f32, {1, 4});
  const std::vector<TreeNode> half = {{0, 0}, {0, 1}, {0, 2}};
  const std::vector<Tensor> parts(3, part.tensor);
  CHECK_THROWS_AS(ops.add_tree(half, parts, Tensor(), out.tensor), Error);
}

TEST_CASE("gather_rows copies rows", "[ops][gather]") {
  Random random(17);
  const std::vector<float> x = random.wides(40 * 1000);
  for (const std::vector<std::int32_t>& rows :
       {std::vector<std::int32_t>{}, {39}, {0, 0, 17, 39, 3, 2, 1}, {-1, 5, -1}}) {
    const auto count = static_cast<std::int64_t>(rows.size());
    for (const DType dtype : {DType::f32, DType::bf16}) {
      same_bits([&](Ops& ops) {
        const Array out = poisoned(ops, dtype, {count, 1000});
        ops.gather_rows(array(ops, x, dtype, {40, 1000}).tensor, ints(ops, rows).tensor,
                        out.tensor);
        return bytes_of(ops, out);
      });
    }
  }
}

TEST_CASE("block_maxima equals the reference bit for bit", "[ops][maxima]") {
  Random random(18);
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& [rows, columns] :
       {std::pair{0, 300}, {1, 1}, {1, 256}, {2, 257}, {3, 1000}, {33, 2048}}) {
    const std::int64_t blocks = ceil_div(columns, 256);
    for (const int kind : {0, 1, 2, 3, 4}) {
      std::vector<float> logits = random.wides(rows * columns, 2);
      for (float& v : logits) {
        if (kind == 1) v = std::floor(random.uniform(0, 4));  // many ties
        if (kind == 2 && random.between(0, 3) == 0) v = nan;
        if (kind == 3) v = random.between(0, 1) == 0 ? nan : -infinity;
        if (kind == 4) v = random.between(0, 1) == 0 ? 0.0F : -0.0F;
      }
      same_bits([&](Ops& ops) {
        const Array values = poisoned(ops, DType::f32, {rows, blocks});
        const Array at = poisoned(ops, DType::i32, {rows, blocks});
        ops.block_maxima(array(ops, logits, DType::f32, {rows, columns}).tensor, values.tensor,
                         at.tensor);
        std::vector<std::byte> bytes = bytes_of(ops, values);
        const std::vector<std::byte> more = bytes_of(ops, at);
        bytes.insert(bytes.end(), more.begin(), more.end());
        return bytes;
      });
    }
  }
}

TEST_CASE("rotary_table equals the reference and is accurate", "[ops][rotary]") {
  std::vector<float> frequencies;
  for (int j = 0; j < 21; ++j) frequencies.push_back(static_cast<float>(pow_d(1e6, -j / 21.0)));
  for (const std::vector<std::int32_t>& positions :
       {std::vector<std::int32_t>{}, {0}, {1, 2, 3, 4095, 4096, 131071, 1048575, 7, 40960}}) {
    const auto rows = static_cast<std::int64_t>(positions.size());
    same_bits([&](Ops& ops) {
      const Array cosines = poisoned(ops, DType::f32, {rows, 21});
      const Array sines = poisoned(ops, DType::f32, {rows, 21});
      ops.rotary_table(ints(ops, positions).tensor,
                       array(ops, frequencies, DType::f32, {21}).tensor, 1.5F, cosines.tensor,
                       sines.tensor);
      const std::vector<float> c = floats_of(ops, cosines);
      const std::vector<float> s = floats_of(ops, sines);
      for (std::size_t i = 0; i < c.size(); ++i) {
        const float angle = static_cast<float>(positions[i / 21]) * frequencies[i % 21];
        CHECK(std::abs(c[i] - 1.5 * std::cos(double{angle})) < 2e-7);
        CHECK(std::abs(s[i] - 1.5 * std::sin(double{angle})) < 2e-7);
      }
      std::vector<std::byte> bytes = bytes_of(ops, cosines);
      const std::vector<std::byte> more = bytes_of(ops, sines);
      bytes.insert(bytes.end(), more.begin(), more.end());
      return bytes;
    });
  }
}

}  // namespace
}  // namespace weft::testing
