#include "reference_ops/reference_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/elementary.h"
#include "ops/checks.h"

namespace weft {
namespace reference {

float get(const Tensor& t, std::int64_t row, std::int64_t column) {
  const std::int64_t i = row * t.row_stride() + column;
  return t.dtype() == DType::bf16 ? f32_from_bf16(t.as<std::uint16_t>()[i]) : t.as<float>()[i];
}

void put(const Tensor& t, std::int64_t row, std::int64_t column, float value) {
  const std::int64_t i = row * t.row_stride() + column;
  if (t.dtype() == DType::bf16) {
    t.as<std::uint16_t>()[i] = bf16_from_f32(value);
  } else {
    t.as<float>()[i] = value;
  }
}

float sum_by_halving(std::span<float, 16> lanes) {
  for (std::size_t half = 8; half > 0; half /= 2) {
    for (std::size_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

float sum_of_squares(std::span<const float> x) {
  std::array<float, 16> lanes{};
  for (std::size_t i = 0; i < x.size(); ++i) lanes[i % 16] = std::fma(x[i], x[i], lanes[i % 16]);
  return sum_by_halving(lanes);
}

void merge(std::vector<float>& sums, int merges) {
  for (; merges > 0; --merges) {
    const float right = sums.back();
    sums.pop_back();
    sums.back() = sums.back() + right;
  }
}

}  // namespace reference

namespace {

/// A packed matrix is simply [rows, columns].
Tensor view(const Matrix& matrix) {
  return {matrix.storage.data(), matrix.shape.dtype, {matrix.shape.rows, matrix.shape.columns()}};
}

/// The whole of a tensor of f32 or i32 as [row][column].
template <class T>
T& at(const Tensor& t, std::int64_t row, std::int64_t column = 0) {
  return t.as<T>()[row * t.row_stride() + column];
}

}  // namespace

using reference::get;
using reference::put;

void ReferenceOps::upload(std::span<const std::byte> from, const Tensor& to) {
  checks::copy(from, to);
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

void ReferenceOps::download(const Tensor& from, std::span<std::byte> to) {
  checks::copy(to, from);
  if (!to.empty()) std::memcpy(to.data(), from.data(), to.size());
}

void ReferenceOps::copy(const Tensor& from, const Tensor& to) {
  checks::copy(from, to);
  if (from.bytes() > 0) std::memcpy(to.data(), from.data(), from.bytes());
}

void ReferenceOps::clear(const Tensor& to) {
  checks::clear(to);
  if (to.bytes() > 0) std::memset(to.data(), 0, to.bytes());
}

Bytes ReferenceOps::matrix_bytes(const MatrixShape& shape) const {
  return static_cast<Bytes>(shape.rows * shape.columns()) * size_of(shape.dtype);
}

void ReferenceOps::pack(const Matrix& to, std::int64_t row0, std::int64_t col0,
                        const Tensor& from) {
  checks::pack(to, row0, col0, from);
  for (std::int64_t r = 0; r < from.rows(); ++r) {
    for (std::int64_t c = 0; c < from.row_elements(); ++c) {
      put(view(to), row0 + r, col0 + c, get(from, r, c));
    }
  }
}

void ReferenceOps::embed(const Matrix& table, const Tensor& rows, const Tensor& out) {
  checks::embed(table, rows, out);
  for (std::int64_t i = 0; i < out.rows(); ++i) {
    const std::int64_t row = at<std::int32_t>(rows, i);
    if (row < 0) continue;
    for (std::int64_t c = 0; c < out.row_elements(); ++c) {
      at<float>(out, i, c) = get(view(table), row, c);
    }
  }
}

void ReferenceOps::rotary_table(const Tensor& positions, const Tensor& inverse_frequencies,
                                float scale, const Tensor& cosines, const Tensor& sines) {
  checks::rotary_table(positions, inverse_frequencies, cosines, sines);
  for (std::int64_t m = 0; m < positions.elements(); ++m) {
    for (std::int64_t j = 0; j < inverse_frequencies.elements(); ++j) {
      const auto position = static_cast<float>(positions.as<std::int32_t>()[m]);
      const float angle = position * inverse_frequencies.as<float>()[j];
      at<float>(cosines, m, j) = static_cast<float>(cos_d(angle)) * scale;
      at<float>(sines, m, j) = static_cast<float>(sin_d(angle)) * scale;
    }
  }
}

void ReferenceOps::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  checks::rms_norm(x, weight, out);
  const std::int64_t columns = x.row_elements();
  for (std::int64_t m = 0; m < x.rows(); ++m) {
    const std::span<const float> row(&at<float>(x, m), static_cast<std::size_t>(columns));
    const float mean = reference::sum_of_squares(row) / static_cast<float>(columns);
    const float r = 1.0F / std::sqrt(mean + eps);
    for (std::int64_t c = 0; c < columns; ++c) {
      put(out, m, c, (at<float>(x, m, c) * r) * weight.as<float>()[c]);
    }
  }
}

void ReferenceOps::linear(const Tensor& x, const Matrix& w, const Tensor& out) {
  checks::linear(x, w, out);
  const KCut& cut = w.shape.cut;
  const auto nodes = static_cast<std::int64_t>(cut.nodes.size());
  for (std::int64_t m = 0; m < x.rows(); ++m) {
    for (std::int64_t n = 0; n < w.shape.rows; ++n) {
      const std::vector<float> sums = reference::tree_nodes(
          cut, flushes(w.shape.dtype), [&](std::int64_t k) { return get(x, m, k); },
          [&](std::int64_t k) { return get(view(w), n, k); });
      for (std::int64_t i = 0; i < nodes; ++i) {
        out.as<float>()[(i * x.rows() + m) * w.shape.rows + n] = sums[static_cast<std::size_t>(i)];
      }
    }
  }
}

void ReferenceOps::swiglu(const Tensor& gate_up, const Tensor& out) {
  checks::swiglu(gate_up, out);
  const std::int64_t features = out.row_elements();
  for (std::int64_t m = 0; m < out.rows(); ++m) {
    for (std::int64_t c = 0; c < features; ++c) {
      const float g = at<float>(gate_up, m, c);
      put(out, m, c, (g / (1.0F + exp_f32(-g))) * at<float>(gate_up, m, features + c));
    }
  }
}

void ReferenceOps::add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts,
                            const Tensor& bias, const Tensor& residual) {
  checks::add_tree(nodes, parts, bias, residual);
  for (std::int64_t m = 0; m < residual.rows(); ++m) {
    for (std::int64_t c = 0; c < residual.row_elements(); ++c) {
      TreeStack tree;
      std::vector<float> sums;
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        sums.push_back(at<float>(parts[i], m, c));
        reference::merge(sums, tree.push(nodes[i]));
      }
      const float root = bias.defined() ? sums[0] + bias.as<float>()[c] : sums[0];
      at<float>(residual, m, c) = at<float>(residual, m, c) + root;
    }
  }
}

void ReferenceOps::gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) {
  checks::gather_rows(x, rows, out);
  for (std::int64_t i = 0; i < out.rows(); ++i) {
    const std::int64_t row = at<std::int32_t>(rows, i);
    if (row < 0) continue;
    for (std::int64_t c = 0; c < out.row_elements(); ++c) {
      if (out.dtype() == DType::bf16) {
        at<std::uint16_t>(out, i, c) = at<std::uint16_t>(x, row, c);
      } else {
        at<float>(out, i, c) = at<float>(x, row, c);
      }
    }
  }
}

std::unique_ptr<Ops> make_reference_ops(Probabilities probabilities) {
  return std::make_unique<ReferenceOps>(probabilities);
}

}  // namespace weft
