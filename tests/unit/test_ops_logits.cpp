// Operators that choose tokens: CPU kernels against the reference implementations.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/elementary.h"
#include "catch.h"
#include "ops_testing.h"

namespace weft::testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// Masses [rows, blocks] of logits whose maxima the operators find themselves.
std::vector<std::byte> weight_sums_of(Ops& ops, const std::vector<float>& logits, std::int64_t rows,
                                      std::int64_t columns, const std::vector<float>& scales,
                                      const std::vector<float>& before,
                                      const std::vector<float>& behind,
                                      const std::vector<std::int32_t>& splits) {
  const std::int64_t blocks = ceil_div(columns, 256);
  const Array x = array(ops, logits, DType::f32, {rows, columns});
  const Array values = poisoned(ops, DType::f32, {rows, blocks});
  const Array at = poisoned(ops, DType::i32, {rows, blocks});
  const Array weight_sums = poisoned(ops, DType::f32, {rows, blocks});
  ops.block_maxima(x.tensor, values.tensor, at.tensor);
  const Array s = array(ops, scales, DType::f32, {rows});
  const Array b = array(ops, before, DType::f32, {rows});
  const Array a = array(ops, behind, DType::f32, {rows});
  const Array p = ints(ops, splits);
  ops.block_weight_sums(x.tensor, values.tensor, {s.tensor, b.tensor, a.tensor, p.tensor},
                        weight_sums.tensor);
  return bytes_of(ops, weight_sums);
}

TEST_CASE("block_weight_sums equals the reference bit for bit", "[ops][masses]") {
  Random random(21);
  for (const auto& shape :
       {std::pair{0, 300}, {1, 1}, {1, 15}, {1, 256}, {2, 257}, {3, 1000}, {5, 700}, {33, 2048}}) {
    const std::int64_t rows = shape.first;
    const std::int64_t columns = shape.second;
    for (const int kind : {0, 1, 2, 3, 4}) {
      std::vector<float> logits = random.uniforms(rows * columns, -12, 12);
      for (float& v : logits) {
        if (kind == 1) v = std::floor(random.uniform(0, 4));
        if (kind == 2 && random.between(0, 3) == 0) v = kNaN;
        if (kind == 3) v = random.between(0, 1) == 0 ? kNaN : -kInfinity;
        if (kind == 4 && random.between(0, 400) == 0) v = kInfinity;
      }
      std::vector<float> scales;
      std::vector<float> before;
      std::vector<float> behind;
      std::vector<std::int32_t> splits;
      for (int row = 0; row < rows; ++row) {
        const bool limited = random.between(0, 2) > 0;
        const float limit = kind == 1 ? std::floor(random.uniform(0, 4)) : random.uniform(-12, 12);
        scales.push_back(random.between(0, 3) == 0 ? 0.0F : random.uniform(0.1F, 4));
        behind.push_back(limited ? limit : -kInfinity);
        before.push_back(limited ? std::nextafter(limit, -kInfinity) : -kInfinity);
        splits.push_back(static_cast<std::int32_t>(random.between(0, columns)));
      }
      const auto run = [&](Ops& ops) {
        return weight_sums_of(ops, logits, rows, columns, scales, before, behind, splits);
      };
      const std::vector<std::byte> expected = run(reference());
      for (const auto& ops : implementations()) {
        INFO(ops->description());
        CHECK((run(*ops) == expected));
      }
    }
  }
}

TEST_CASE("block_masses are accurate, and count what they should", "[ops][masses]") {
  Random random(22);
  std::vector<float> logits = random.uniforms(600, -9, 9);
  logits[40] = logits[41] = logits[300] = 2.5F;
  // Everything before token 41 in the order of logits, then ids: 40 counts, 41 and 300 do not.
  for (const auto& ops : implementations()) {
    const std::vector<std::byte> bytes = weight_sums_of(
        *ops, logits, 1, 600, {0.5F}, {std::nextafter(2.5F, -kInfinity)}, {2.5F}, {41});
    std::vector<float> weight_sums(3);
    std::memcpy(weight_sums.data(), bytes.data(), bytes.size());
    for (std::size_t b = 0; b < 3; ++b) {
      const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(b * 256);
      const auto end = b == 2 ? logits.end() : begin + 256;
      const double largest = *std::max_element(begin, end);
      double sum = 0;
      for (auto at = begin; at != end; ++at) {
        if (*at > 2.5F || at - logits.begin() == 40) sum += std::exp((*at - largest) * 0.5);
      }
      CHECK(std::abs(weight_sums[b] - sum) < 1e-5 * sum);
    }
  }
}

TEST_CASE("blocks of columns are gathered, the last one filled up", "[ops]") {
  std::vector<float> x(2 * 300);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  std::vector<Ops*> all = {&reference()};
  for (const auto& ops : implementations()) all.push_back(ops.get());
  for (Ops* ops : all) {
    const Array table = array(*ops, x, DType::f32, {2, 300});
    const Array out = poisoned(*ops, DType::f32, {3, 256});
    const Array rows = ints(*ops, {1, 0, 1});
    const Array blocks = ints(*ops, {1, 0, 0});
    ops->gather_blocks(table.tensor, rows.tensor, blocks.tensor, out.tensor);
    const std::vector<float> is = floats_of(*ops, out);
    std::vector<float> expected(3 * 256, -std::numeric_limits<float>::infinity());
    std::copy_n(x.begin() + 300 + 256, 44, expected.begin());
    std::copy_n(x.begin(), 256, expected.begin() + 256);
    std::copy_n(x.begin() + 300, 256, expected.begin() + 512);
    CHECK(is == expected);
  }
}

TEST_CASE("single elements are read and written", "[ops]") {
  const std::vector<std::int32_t> rows = {2, 0, 1, 2};
  const std::vector<std::int32_t> columns = {4, 0, 3, 0};
  std::vector<float> x(15);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  std::vector<Ops*> all = {&reference()};
  for (const auto& ops : implementations()) all.push_back(ops.get());
  for (Ops* ops : all) {
    const Array table = array(*ops, x, DType::f32, {3, 5});
    const Array out = poisoned(*ops, DType::f32, {4});
    const Array r = ints(*ops, rows);
    const Array c = ints(*ops, columns);
    ops->get_elements(table.tensor, r.tensor, c.tensor, out.tensor);
    CHECK(floats_of(*ops, out) == std::vector<float>{14, 0, 8, 10});
    const Array values = array(*ops, {-1, -2, -3, -4}, DType::f32, {4});
    ops->put_elements(values.tensor, r.tensor, c.tensor, table.tensor);
    std::vector<float> expected = x;
    expected[14] = -1;
    expected[0] = -2;
    expected[8] = -3;
    expected[10] = -4;
    CHECK(floats_of(*ops, table) == expected);
  }
}

}  // namespace
}  // namespace weft::testing
