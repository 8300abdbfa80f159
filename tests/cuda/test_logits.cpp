// The GPU's operators over logits and cached rows, against the reference implementations.
#include <cmath>
#include <limits>
#include <numeric>

#include "catch.h"
#include "compare.h"
#include "ops_testing.h"

namespace weft::testing {
namespace {

TEST_CASE("block_masses", "[cuda][masses]") {
  Random random(31);
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& [rows, columns] : {std::pair{0, 300}, {1, 1}, {2, 257}, {3, 1000}, {5, 2048}}) {
    const std::int64_t blocks = ceil_div(columns, 256);
    for (const int kind : {0, 1, 2}) {
      std::vector<float> logits;
      for (std::int64_t i = 0; i < rows * columns; ++i) logits.push_back(random.uniform(-9, 9));
      for (float& v : logits) {
        if (kind == 1 && random.between(0, 3) == 0) v = nan;
        if (kind == 2 && random.between(0, 1) == 0)
          v = random.between(0, 9) == 0 ? infinity : -infinity;
      }
      std::vector<float> scales;
      std::vector<float> before;
      std::vector<float> behind;
      std::vector<std::int32_t> splits;
      for (std::int64_t row = 0; row < rows; ++row) {
        scales.push_back(row % 3 == 1 ? 0.0F : random.uniform(0.3F, 3));
        before.push_back(row % 2 == 0 ? -infinity : random.uniform(-2, 2));
        behind.push_back(row % 2 == 0 ? -infinity : random.uniform(-2, 2));
        splits.push_back(static_cast<std::int32_t>(columns / 2));
      }
      same_bits([&](Ops& ops) {
        const Array in = array(ops, logits, DType::f32, {rows, columns});
        const Array values = poisoned(ops, DType::f32, {rows, blocks});
        const Array at = poisoned(ops, DType::i32, {rows, blocks});
        const Array weight_sums = poisoned(ops, DType::f32, {rows, blocks});
        const Array s = array(ops, scales, DType::f32, {rows});
        const Array b = array(ops, before, DType::f32, {rows});
        const Array h = array(ops, behind, DType::f32, {rows});
        const Array p = ints(ops, splits);
        ops.block_maxima(in.tensor, values.tensor, at.tensor);
        ops.block_weight_sums(in.tensor, values.tensor, {s.tensor, b.tensor, h.tensor, p.tensor},
                              weight_sums.tensor);
        return bytes_of(ops, weight_sums);
      });
    }
  }
}

TEST_CASE("gather_blocks", "[cuda][elements]") {
  Random random(34);
  for (const std::int64_t columns : {700, 256, 40}) {
    const std::vector<float> x = random.wides(5 * columns, 3);
    const auto last = static_cast<std::int32_t>((columns - 1) / 256);
    same_bits([&](Ops& ops) {
      const Array in = array(ops, x, DType::f32, {5, columns});
      const Array rows = ints(ops, {4, 0, 4, 2});
      const Array blocks = ints(ops, {last, 0, 0, last});
      const Array out = poisoned(ops, DType::f32, {4, 256});
      ops.gather_blocks(in.tensor, rows.tensor, blocks.tensor, out.tensor);
      return bytes_of(ops, out);
    });
  }
}

TEST_CASE("get_elements and put_elements", "[cuda][elements]") {
  Random random(32);
  const std::vector<float> x = random.wides(7 * 900, 3);
  const std::vector<std::int32_t> rows = {0, 6, 3, 3, 1};
  const std::vector<std::int32_t> columns = {899, 0, 17, 18, 450};
  const std::vector<float> values = random.wides(5, 2);
  same_bits([&](Ops& ops) {
    const Array in = array(ops, x, DType::f32, {7, 900});
    const Array r = ints(ops, rows);
    const Array c = ints(ops, columns);
    const Array out = poisoned(ops, DType::f32, {5});
    ops.get_elements(in.tensor, r.tensor, c.tensor, out.tensor);
    const Array put = array(ops, values, DType::f32, {5});
    ops.put_elements(put.tensor, r.tensor, c.tensor, in.tensor);
    std::vector<std::byte> bytes = bytes_of(ops, out);
    const std::vector<std::byte> all = bytes_of(ops, in);
    bytes.insert(bytes.end(), all.begin(), all.end());
    return bytes;
  });
}

TEST_CASE("write_kv and read_kv", "[cuda][kv]") {
  Random random(33);
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const auto& [heads, dim] : {std::pair{1, 12}, {2, 64}, {3, 80}}) {
      constexpr std::int64_t kBlock = 32;
      constexpr std::int64_t kBlocks = 3;
      std::vector<std::int32_t> slots(kBlock * kBlocks);
      std::iota(slots.begin(), slots.end(), 0);
      for (std::size_t i = slots.size() - 1; i > 0; --i) {
        std::swap(slots[i],
                  slots[static_cast<std::size_t>(random.between(0, static_cast<int>(i)))]);
      }
      slots.resize(50);
      const auto count = static_cast<std::int64_t>(slots.size());
      const std::vector<float> rows = random.wides(count * 2 * heads * dim, 1);
      same_bits([&](Ops& ops) {
        const Bytes kv_block = ops.kv_block_bytes(heads, dim, kBlock, dtype);
        const Array storage =
            poisoned(ops, dtype, {kBlocks, static_cast<std::int64_t>(kv_block / size_of(dtype))});
        const KvLayer cache{storage.tensor.data(), kv_block, kBlock, heads, dim, dtype};
        const Array in = array(ops, rows, dtype, {count, 2 * heads * dim});
        const Array at = ints(ops, slots);
        ops.write_kv(in.tensor, at.tensor, cache);
        const Array out = poisoned(ops, dtype, {count, 2 * heads * dim});
        ops.read_kv(cache, at.tensor, out.tensor);
        return bytes_of(ops, out);
      });
    }
  }
}

}  // namespace
}  // namespace weft::testing
