// The reference implementations of the operators for experts.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/elementary.h"
#include "ops/checks.h"
#include "reference_ops/reference_ops.h"

namespace weft {
namespace {

/// Matrix `index` of a stack, each simply [rows, columns].
Tensor view(const MatrixStack& stack, std::int64_t index) {
  const std::int64_t elements = stack.shape.rows * stack.shape.columns();
  return {stack.storage.data() + static_cast<Bytes>(index * elements) * size_of(stack.shape.dtype),
          stack.shape.dtype,
          {stack.shape.rows, stack.shape.columns()}};
}

/// Softmax in place, the sum in 16 lanes.
void softmax(std::span<float> row) {
  float largest = row[0];
  for (const float value : row) largest = value > largest ? value : largest;
  std::array<float, 16> lanes{};
  for (std::size_t i = 0; i < row.size(); ++i) {
    row[i] = exp_f32(row[i] - largest);
    lanes[i % 16] = lanes[i % 16] + row[i];
  }
  const float sum = reference::sum_by_halving(lanes);
  for (float& value : row) value = value / sum;
}

}  // namespace

using reference::get;
using reference::put;

void ReferenceOps::pack(const MatrixStack& to, std::int64_t index, std::int64_t row0,
                        std::int64_t col0, const Tensor& from) {
  checks::pack(to, index, row0, col0, from);
  for (std::int64_t r = 0; r < from.rows(); ++r) {
    for (std::int64_t c = 0; c < from.row_elements(); ++c) {
      put(view(to, index), row0 + r, col0 + c, get(from, r, c));
    }
  }
}

void ReferenceOps::route(const Tensor& logits, const Tensor& slots, bool normalise,
                         const Tensor& experts, const Tensor& weights, const Tensor& loads) {
  checks::route(logits, slots, experts, weights, loads);
  const auto count = static_cast<std::size_t>(logits.row_elements());
  const std::int64_t k = experts.row_elements();
  for (std::int64_t m = 0; m < logits.rows(); ++m) {
    if (slots.as<std::int32_t>()[m] < 0) {
      for (std::int64_t j = 0; j < k; ++j) {
        experts.as<std::int32_t>()[m * k + j] = kNoExpert;
        put(weights, m, j, 0);
      }
      continue;
    }
    const std::span<float> row(logits.as<float>() + m * logits.row_stride(), count);
    softmax(row);
    std::vector<bool> taken(count, false);
    float sum = 0;
    for (std::int64_t j = 0; j < k; ++j) {
      std::size_t best = count;
      for (std::size_t e = 0; e < count; ++e) {
        if (!taken[e] && (best == count || row[e] > row[best])) best = e;
      }
      taken[best] = true;
      ++loads.as<std::int32_t>()[best];
      experts.as<std::int32_t>()[m * k + j] = static_cast<std::int32_t>(best);
      put(weights, m, j, row[best]);
      sum = sum + row[best];
    }
    if (!normalise) continue;
    for (std::int64_t j = 0; j < k; ++j) put(weights, m, j, get(weights, m, j) / sum);
  }
}

void ReferenceOps::sort_pairs(const Tensor& experts, const Tensor& ends, const Tensor& rows,
                              const Tensor& places) {
  checks::sort_pairs(experts, ends, rows, places);
  const std::int64_t pairs = experts.elements();
  const std::int64_t copies = pairs > 0 ? places.elements() / pairs : 0;
  const auto* const of = experts.as<std::int32_t>();
  for (std::int64_t p = 0; p < pairs; ++p) {
    if (of[p] >= 0) continue;
    std::fill_n(places.as<std::int32_t>() + p * copies, copies, -1);
  }
  std::int32_t place = 0;
  for (std::int64_t e = 0; e < ends.elements(); ++e) {
    for (std::int64_t p = 0; p < pairs; ++p) {
      if (of[p] != e) continue;
      rows.as<std::int32_t>()[place] = static_cast<std::int32_t>(p / experts.row_elements());
      for (std::int64_t i = 0; i < copies; ++i) {
        places.as<std::int32_t>()[p * copies + i] = static_cast<std::int32_t>(i * pairs + place);
      }
      ++place;
    }
    ends.as<std::int32_t>()[e] = place;
  }
}

void ReferenceOps::expert_linear(const Tensor& x, const Tensor& rows, const Tensor& ends,
                                 const MatrixStack& w, const Tensor& out) {
  const std::int64_t pairs = checks::expert_linear(x, rows, ends, w, out);
  const std::int64_t end = pairs > 0 ? checks::pair_ends(ends.span<std::int32_t>(), pairs) : 0;
  const std::int64_t outputs = w.shape.rows;
  std::int64_t expert = 0;
  for (std::int64_t p = 0; p < end; ++p) {
    while (ends.as<std::int32_t>()[expert] <= p) ++expert;
    const Tensor matrix = view(w, expert);
    const std::int64_t row = rows.defined() ? rows.as<std::int32_t>()[p] : p;
    for (std::int64_t n = 0; n < outputs; ++n) {
      const std::vector<float> nodes = reference::tree_nodes(
          w.shape.cut, flushes(w.shape.dtype), [&](std::int64_t k) { return get(x, row, k); },
          [&](std::int64_t k) { return get(matrix, n, k); });
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        const auto node = static_cast<std::int64_t>(i);
        out.as<float>()[(node * pairs + p) * outputs + n] = nodes[i];
      }
    }
  }
}

void ReferenceOps::combine(std::span<const TreeNode> nodes, const Tensor& parts, const Tensor& rows,
                           const Tensor& weights, const Tensor& out) {
  checks::combine(nodes, parts, rows, weights, out);
  const std::int64_t k = weights.row_elements();
  const auto count = static_cast<std::int64_t>(nodes.size());
  for (std::int64_t m = 0; m < out.rows(); ++m) {
    for (std::int64_t c = 0; c < out.row_elements(); ++c) {
      float total = 0;
      for (std::int64_t j = 0; j < k; ++j) {
        if (rows.as<std::int32_t>()[(m * k + j) * count] < 0) continue;
        TreeStack tree;
        std::vector<float> sums;
        for (std::int64_t i = 0; i < count; ++i) {
          sums.push_back(get(parts, rows.as<std::int32_t>()[(m * k + j) * count + i], c));
          reference::merge(sums, tree.push(nodes[static_cast<std::size_t>(i)]));
        }
        total = std::fma(get(weights, m, j), sums[0], total);
      }
      put(out, m, c, total);
    }
  }
}

void ReferenceOps::add_gated(const Tensor& gate, const Tensor& x, const Tensor& sum) {
  checks::add_gated(gate, x, sum);
  for (std::int64_t m = 0; m < sum.rows(); ++m) {
    const float weight = 1.0F / (1.0F + exp_f32(-get(gate, m, 0)));
    for (std::int64_t c = 0; c < sum.row_elements(); ++c) {
      put(sum, m, c, std::fma(weight, get(x, m, c), get(sum, m, c)));
    }
  }
}

}  // namespace weft
