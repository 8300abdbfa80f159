// Operators that work row by row, on a GPU or the emulation: the reference implementations' bits.
#include <algorithm>
#include <cmath>
#include <limits>

#include "catch.h"
#include "compare.h"

namespace weft::testing {
namespace {

constexpr DType kTypes[] = {DType::bf16, DType::f32};

TEST_CASE("rms_norm", "[cuda][norm]") {
  Random random(11);
  for (const DType dtype : kTypes) {
    for (const auto& [rows, columns] :
         {std::pair{0, 16}, {1, 1}, {1, 15}, {3, 16}, {2, 17}, {5, 2048}, {3, 50000}}) {
      const std::vector<float> x = random.wides(rows * columns);
      const std::vector<float> weight = random.wides(columns, 3);
      INFO(rows << " x " << columns);
      same_bits([&](Ops& ops) {
        const Array out = poisoned(ops, dtype, {rows, columns});
        const Array in = array(ops, x, DType::f32, {rows, columns});
        const Array w = array(ops, weight, DType::f32, {columns});
        ops.rms_norm(in.tensor, w.tensor, 1e-6F, out.tensor);
        return bytes_of(ops, out);
      });
    }
  }
}

TEST_CASE("swiglu", "[cuda][swiglu]") {
  Random random(13);
  for (const DType dtype : kTypes) {
    for (const auto& [rows, features] : {std::pair{0, 8}, {1, 3}, {2, 16}, {7, 300}}) {
      const std::vector<float> x = random.wides(rows * 2 * features, 7);
      same_bits([&](Ops& ops) {
        const Array out = poisoned(ops, dtype, {rows, features});
        const Array in = array(ops, x, DType::f32, {rows, 2 * features});
        ops.swiglu(in.tensor, out.tensor);
        return bytes_of(ops, out);
      });
    }
  }
}

TEST_CASE("add_tree", "[cuda][tree]") {
  Random random(15);
  const std::vector<std::vector<TreeNode>> covers = {
      {{0, 0}},
      {{0, 0}, {0, 1}, {1, 1}},
      {{1, 0}, {0, 2}, {0, 3}, {2, 1}},
      {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {0, 6}, {0, 7}},
      {{2, 0}, {0, 4}, {0, 5}, {1, 3}, {3, 1}}};
  for (const auto& nodes : covers) {
    for (const auto& [rows, columns] : {std::pair{0, 40}, {1, 1}, {2, 79}, {3, 300}}) {
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

TEST_CASE("add_tree_norm: the sum and its norm", "[cuda][tree]") {
  Random random(28);
  const std::vector<std::vector<TreeNode>> covers = {{{0, 0}}, {{1, 0}, {0, 2}, {0, 3}, {2, 1}}};
  for (const DType dtype : kTypes) {
    for (const auto& nodes : covers) {
      for (const auto& [rows, columns] :
           {std::pair{0, 40}, {1, 15}, {3, 300}, {2, 5000}, {1, 50000}, {1, 70000}}) {
        const std::vector<float> parts =
            random.wides(static_cast<std::int64_t>(nodes.size()) * rows * columns);
        const std::vector<float> bias = random.wides(columns);
        const std::vector<float> residual = random.wides(rows * columns);
        const std::vector<float> weight = random.wides(columns, 3);
        INFO(nodes.size() << " nodes, " << rows << " x " << columns);
        same_bits([&](Ops& ops) {
          const Array all = array(ops, parts, DType::f32,
                                  {static_cast<std::int64_t>(nodes.size()), rows, columns});
          std::vector<Tensor> tensors;
          for (std::size_t i = 0; i < nodes.size(); ++i) {
            float* const from = reinterpret_cast<float*>(all.tensor.data()) + i * rows * columns;
            tensors.emplace_back(from, DType::f32,
                                 std::initializer_list<std::int64_t>{rows, columns});
          }
          const Array b = array(ops, bias, DType::f32, {columns});
          const Array w = array(ops, weight, DType::f32, {columns});
          const Array x = array(ops, residual, DType::f32, {rows, columns});
          const Array out = poisoned(ops, dtype, {rows, columns});
          ops.add_tree_norm(nodes, tensors, nodes.size() > 1 ? b.tensor : Tensor(), x.tensor,
                            {w.tensor, 1e-6F, out.tensor});
          std::vector<std::byte> bytes = bytes_of(ops, x);
          const std::vector<std::byte> more = bytes_of(ops, out);
          bytes.insert(bytes.end(), more.begin(), more.end());
          return bytes;
        });
      }
    }
  }
}

TEST_CASE("gather_rows and copy", "[cuda][gather]") {
  Random random(17);
  const std::vector<float> x = random.wides(40 * 300);
  for (const std::vector<std::int32_t>& rows :
       {std::vector<std::int32_t>{}, {39}, {0, 0, 17, 39, 3, 2, 1}}) {
    const auto count = static_cast<std::int64_t>(rows.size());
    for (const DType dtype : kTypes) {
      same_bits([&](Ops& ops) {
        const Array out = poisoned(ops, dtype, {count, 300});
        const Array in = array(ops, x, dtype, {40, 300});
        const Array index = ints(ops, rows);
        ops.gather_rows(in.tensor, index.tensor, out.tensor);
        const Array second = poisoned(ops, dtype, {count, 300});
        ops.copy(out.tensor, second.tensor);
        return bytes_of(ops, second);
      });
    }
  }
}

TEST_CASE("clear", "[cuda][clear]") {
  for (const DType dtype : {DType::bf16, DType::f32, DType::i32}) {
    for (const std::int64_t count : {0, 1, 77}) {
      const Array out = poisoned(device(), dtype, {2, count});
      device().clear(out.tensor.slice(0, 1));
      const std::vector<std::byte> bytes = bytes_of(device(), out);
      const auto half = static_cast<std::ptrdiff_t>(bytes.size() / 2);
      CHECK(std::count(bytes.begin(), bytes.begin() + half, std::byte{0}) == half);
      CHECK(std::count(bytes.begin() + half, bytes.end(), std::byte{0}) == 0);
    }
  }
}

TEST_CASE("block_maxima", "[cuda][maxima]") {
  Random random(18);
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& [rows, columns] :
       {std::pair{0, 300}, {1, 1}, {1, 256}, {2, 257}, {3, 1000}, {5, 2048}}) {
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
        const Array in = array(ops, logits, DType::f32, {rows, columns});
        const Array values = poisoned(ops, DType::f32, {rows, blocks});
        const Array at = poisoned(ops, DType::i32, {rows, blocks});
        ops.block_maxima(in.tensor, values.tensor, at.tensor);
        std::vector<std::byte> bytes = bytes_of(ops, values);
        const std::vector<std::byte> more = bytes_of(ops, at);
        bytes.insert(bytes.end(), more.begin(), more.end());
        return bytes;
      });
    }
  }
}

TEST_CASE("rotary_table", "[cuda][rotary]") {
  Random random(19);
  std::vector<std::int32_t> positions = {0, 1, 2, 127, 4096, 131071, 1 << 20};
  std::vector<float> frequencies = {1.0F};
  for (int i = 0; i < 70; ++i) frequencies.push_back(random.uniform(0, 1));
  same_bits([&](Ops& ops) {
    const Array cosines = poisoned(ops, DType::f32, {7, 71});
    const Array sines = poisoned(ops, DType::f32, {7, 71});
    const Array at = ints(ops, positions);
    const Array f = array(ops, frequencies, DType::f32, {71});
    ops.rotary_table(at.tensor, f.tensor, 1.25F, cosines.tensor, sines.tensor);
    std::vector<std::byte> bytes = bytes_of(ops, cosines);
    const std::vector<std::byte> more = bytes_of(ops, sines);
    bytes.insert(bytes.end(), more.begin(), more.end());
    return bytes;
  });
}

TEST_CASE("small uploads keep their order", "[cuda][copy]") {
  Ops& ops = device();
  const Array to = poisoned(ops, DType::i32, {1000});
  std::vector<std::int32_t> values(1000);
  for (std::int32_t round = 0; round < 3000; ++round) {
    values.assign(1000, round);
    ops.upload(std::as_bytes(std::span(values)), to.tensor);
  }
  ops.download(to.tensor, std::as_writable_bytes(std::span(values)));
  CHECK(std::all_of(values.begin(), values.end(), [](std::int32_t v) { return v == 2999; }));
}

}  // namespace
}  // namespace weft::testing
