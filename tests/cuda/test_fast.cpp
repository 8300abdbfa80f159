// `numerics: fast`: the same values within rounding, whatever the order of additions.
#include <cstring>
#include <tuple>

#include "catch.h"
#include "compare.h"

namespace weft::testing {
namespace {

Ops& fast() {
  static const std::unique_ptr<GpuOps> ops = make_fast_device();
  return *ops;
}

std::vector<float> multiply(Ops& ops, const std::vector<float>& x, const std::vector<float>& w,
                            std::int64_t rows, std::int64_t outputs, const KCut& cut) {
  const Array in = array(ops, x, DType::bf16, {rows, cut.columns()});
  const Matrix matrix = testing::matrix(ops, w, outputs, DType::bf16, cut);
  const Array out =
      poisoned(ops, DType::f32, {static_cast<std::int64_t>(cut.nodes.size()), rows, outputs});
  ops.linear(in.tensor, matrix, out.tensor);
  return floats_of(ops, out);
}

TEST_CASE("fast products have the values of the reference", "[cuda][fast]") {
  Random random(81);
  // Up to 16 rows our own kernel computes, beyond that the library; depths with and without tails.
  for (const auto& [rows, outputs, k] :
       {std::tuple<std::int64_t, std::int64_t, std::int64_t>{1, 16, 32},
        {1, 70, 1100},
        {3, 33, 37},
        {8, 40, 2048},
        {9, 17, 160},
        {16, 48, 1003},
        {17, 33, 200},
        {70, 130, 96}}) {
    const Segments segments = Segments::cut(k, 16, 8);
    // All of the tree, and parts of it that are one node or several.
    for (const Range leaves : {Range{0, segments.count()}, Range{0, (segments.count() + 1) / 2},
                               Range{segments.count() / 3, segments.count()}}) {
      const KCut cut = KCut::of(segments, leaves);
      INFO("M=" << rows << " N=" << outputs << " K=" << cut.columns() << " of " << k << ", "
                << cut.nodes.size() << " nodes");
      const std::vector<float> x = random.uniforms(rows * cut.columns(), -2, 2);
      const std::vector<float> w = random.uniforms(outputs * cut.columns(), -2, 2);
      const std::vector<float> is = multiply(fast(), x, w, rows, outputs, cut);
      CHECK(distance(is, multiply(reference(), x, w, rows, outputs, cut)) < 1e-5);
    }
  }
}

TEST_CASE("fast tables are read as they were packed", "[cuda][fast]") {
  Random random(82);
  const std::int64_t columns = 37;
  const KCut cut = KCut::of(Segments::cut(columns, 16, 4), {0, 2});
  const std::vector<float> values = random.uniforms(50 * cut.columns(), -2, 2);
  const auto read = [&](Ops& ops) {
    const Matrix table = matrix(ops, values, 50, DType::bf16, cut);
    const std::vector<std::int32_t> rows = {49, 0, 17};
    const Buffer index(ops.memory(), rows.size() * sizeof(std::int32_t));
    const Tensor wanted = index.tensor(DType::i32, {3});
    ops.upload(std::as_bytes(std::span(rows)), wanted);
    const Array out = poisoned(ops, DType::f32, {3, cut.columns()});
    ops.embed(table, wanted, out.tensor);
    return floats_of(ops, out);
  };
  CHECK((read(fast()) == read(reference())));
}

}  // namespace
}  // namespace weft::testing
