#include "expert_fixture.h"
#include "reference_ops/make_reference_ops.h"

#include <algorithm>
#include <numeric>

namespace weft::testing {
namespace {

std::vector<std::int32_t> ints_of(Ops& ops, const Array& from) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(from.tensor.elements()));
  ops.download(from.tensor, std::as_writable_bytes(std::span(values)));
  return values;
}

}  // namespace

ExpertProduct random_product(Random& random, const std::vector<std::int64_t>& counts,
                             std::int64_t rows, std::int64_t outputs, const Segments& segments,
                             Range leaves, DType dtype, bool wide) {
  ExpertProduct p;
  p.rows = rows;
  p.outputs = outputs;
  p.cut = KCut::of(segments, leaves);
  p.dtype = dtype;
  p.ends.resize(counts.size());
  std::partial_sum(counts.begin(), counts.end(), p.ends.begin());
  for (std::int64_t i = 0; i < p.pairs(); ++i) {
    p.index.push_back(static_cast<std::int32_t>(random.between(0, rows - 1)));
  }
  const auto values = [&](std::int64_t count) {
    return wide ? random.wides(count) : random.uniforms(count, -2, 2);
  };
  p.x = values(rows * p.cut.columns());
  for (std::size_t e = 0; e < counts.size(); ++e) {
    p.w.push_back(values(outputs * p.cut.columns()));
  }
  return p;
}

Array multiply(Ops& ops, const ExpertProduct& p) {
  const Array x = array(ops, p.x, p.dtype, {p.rows, p.cut.columns()});
  // Without pairs there is an index, too: an undefined one would mean a pair for each row.
  const bool indexed = !p.index.empty() || p.pairs() == 0;
  const Array index = ints(ops, p.index.empty() ? std::vector<std::int32_t>{0} : p.index);
  const Array ends = ints(ops, {p.ends.begin(), p.ends.end()});
  MatrixStack w{{p.outputs, p.dtype, p.cut}, static_cast<std::int64_t>(p.w.size()), Buffer()};
  w.storage = Buffer(ops.memory(), static_cast<Bytes>(w.count) * ops.matrix_bytes(w.shape));
  const auto host = make_reference_ops();
  for (std::size_t e = 0; e < p.w.size() && p.cut.columns() > 0; ++e) {
    const Array from = array(*host, p.w[e], p.dtype, {p.outputs, p.cut.columns()});
    // In two pieces, as gates and ups come.
    const std::int64_t half = p.outputs / 2;
    for (const Range rows : {Range{0, half}, Range{half, p.outputs}}) {
      ops.pack(w, static_cast<std::int64_t>(e), rows.begin, 0,
               from.tensor.slice(rows.begin, rows.end));
    }
    wait_packed(ops);
  }
  Array out = poisoned(ops, DType::f32,
                       {static_cast<std::int64_t>(p.cut.nodes.size()), p.pairs(), p.outputs});
  const Tensor rows = indexed ? index.tensor.slice(0, p.pairs()) : Tensor();
  ops.expert_linear(x.tensor, rows, ends.tensor, w, out.tensor);
  return out;
}

std::vector<std::int64_t> uneven(Random& random, std::int64_t count, std::int64_t total) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(count), 0);
  for (std::int64_t i = 0; i < total; ++i) {
    const std::int64_t e = std::min(random.between(0, count - 1), random.between(0, count - 1));
    ++counts[static_cast<std::size_t>(e)];
  }
  return counts;
}

Routing route(Ops& ops, const std::vector<float>& logits, std::int64_t rows, std::int64_t k,
              bool normalise, std::vector<std::int32_t> slots) {
  slots.resize(static_cast<std::size_t>(rows), 0);
  const std::int64_t experts = static_cast<std::int64_t>(logits.size()) / rows;
  const Array in = array(ops, logits, DType::f32, {rows, experts});
  const Array places = ints(ops, slots);
  const Array ids = poisoned(ops, DType::i32, {rows, k});
  const Array weights = poisoned(ops, DType::f32, {rows, k});
  const Array loads = ints(ops, std::vector<std::int32_t>(static_cast<std::size_t>(experts), 3));
  ops.route(in.tensor, places.tensor, normalise, ids.tensor, weights.tensor, loads.tensor);
  Routing result;
  result.experts = ints_of(ops, ids);
  result.loads = ints_of(ops, loads);
  result.weights = floats_of(ops, weights);
  return result;
}

std::vector<std::int32_t> choices(Random& random, std::int64_t rows, std::int64_t k,
                                  std::int64_t experts) {
  std::vector<std::int32_t> chosen;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto begin = static_cast<std::ptrdiff_t>(chosen.size());
    while (static_cast<std::int64_t>(chosen.size()) - begin < k) {
      const auto expert = static_cast<std::int32_t>(
          std::min(random.between(0, experts - 1), random.between(0, experts - 1)));
      if (std::find(chosen.begin() + begin, chosen.end(), expert) == chosen.end()) {
        chosen.push_back(expert);
      }
    }
  }
  return chosen;
}

void sample_none(Random& random, std::vector<std::int32_t>& chosen, std::int64_t k) {
  const auto rows = static_cast<std::int64_t>(chosen.size()) / k;
  for (std::int64_t row = 0; row < rows; ++row) {
    if (row < rows - 1 && random.between(0, 3) > 0) continue;
    std::fill_n(chosen.begin() + row * k, k, kNoExpert);
  }
}

Sorted sorted(Ops& ops, const std::vector<std::int32_t>& chosen, std::int64_t k,
              std::int64_t experts, std::int64_t copies) {
  const auto pairs = static_cast<std::int64_t>(chosen.size());
  const Array in = ints(ops, chosen);
  const Array ends = poisoned(ops, DType::i32, {experts});
  const auto unwritten = [&](std::int64_t count) {
    return ints(ops, std::vector<std::int32_t>(static_cast<std::size_t>(count), kUnwritten));
  };
  const Array rows = unwritten(pairs);
  const Array places = unwritten(pairs * copies);
  ops.sort_pairs(Tensor(in.tensor.data(), DType::i32, {pairs / k, k}), ends.tensor, rows.tensor,
                 Tensor(places.tensor.data(), DType::i32, {pairs, copies}));
  return {ints_of(ops, ends), ints_of(ops, rows), ints_of(ops, places)};
}

std::vector<std::byte> combined(Ops& ops, const std::vector<TreeNode>& nodes,
                                const std::vector<float>& parts, std::int64_t columns,
                                const std::vector<std::int32_t>& rows,
                                const std::vector<float>& weights, std::int64_t m) {
  const auto count = static_cast<std::int64_t>(parts.size()) / columns;
  const auto k = static_cast<std::int64_t>(weights.size()) / m;
  const Array from = array(ops, parts, DType::f32, {count, columns});
  const Array index = ints(ops, rows);
  const Array scale = array(ops, weights, DType::f32, {m, k});
  const Array out = poisoned(ops, DType::f32, {m, columns});
  ops.combine(nodes, from.tensor, index.tensor, scale.tensor, out.tensor);
  return bytes_of(ops, out);
}

std::vector<std::byte> gated(Ops& ops, const std::vector<float>& gate, const std::vector<float>& x,
                             const std::vector<float>& sum) {
  const auto m = static_cast<std::int64_t>(gate.size());
  const std::int64_t columns = static_cast<std::int64_t>(x.size()) / m;
  const Array g = array(ops, gate, DType::f32, {m, 1});
  const Array from = array(ops, x, DType::f32, {m, columns});
  const Array to = array(ops, sum, DType::f32, {m, columns});
  ops.add_gated(g.tensor, from.tensor, to.tensor);
  return bytes_of(ops, to);
}

}  // namespace weft::testing
