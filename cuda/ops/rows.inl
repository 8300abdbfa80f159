// DeviceOps: memory, copies, and what works row by row.
#include <algorithm>

#include "cuda/kernels/qkv.h"
#include "cuda/kernels/rows.h"
#include "cuda/ops/device_ops.h"
#include "cuda/ops/views.h"
#include "ops/checks.h"

namespace weft::WEFT_PLATFORM {
namespace {

TreeProgram tree_program(std::span<const TreeNode> nodes, std::span<const Tensor> parts) {
  require(nodes.size() <= static_cast<std::size_t>(kMostNodes), "add_tree: {} nodes", nodes.size());
  TreeProgram tree;
  TreeStack stack;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    tree.merges[i] = static_cast<std::int8_t>(stack.push(nodes[i]));
    tree.parts[i] = data_of<float>(parts[i]);
    tree.strides[i] = parts[i].row_stride();
  }
  tree.count = static_cast<std::int32_t>(nodes.size());
  return tree;
}

}  // namespace

Bytes DeviceOps::workspace_bytes(std::int64_t max_rows, std::int64_t max_columns,
                                 std::int64_t /*head_dim*/) const {
  return max_rows > 0 && max_columns > 0 ? runtime_.scratch_bytes() : 0;
}

void DeviceOps::reserve_workspace(std::int64_t max_rows, std::int64_t max_columns,
                                  std::int64_t head_dim) {
  if (workspace_bytes(max_rows, max_columns, head_dim) > 0) scratch();
}

std::byte* DeviceOps::scratch() {
  if (scratch_.bytes() == 0) scratch_ = Buffer(memory(), runtime_.scratch_bytes());
  return scratch_.data();
}

void DeviceOps::upload(std::span<const std::byte> from, const Tensor& to) {
  checks::copy(from, to);
  runtime_.copy_in(from.data(), to.data(), from.size());
}

void DeviceOps::download(const Tensor& from, std::span<std::byte> to) {
  checks::copy(to, from);
  runtime_.copy_out(from.data(), to.data(), to.size());
}

void DeviceOps::copy(const Tensor& from, const Tensor& to) {
  checks::copy(from, to);
  runtime_.copy_across(from.data(), to.data(), from.bytes());
}

void DeviceOps::clear(const Tensor& to) {
  checks::clear(to);
  runtime_.clear(to.data(), to.bytes());
}

void DeviceOps::pack(const Matrix& to, std::int64_t row0, std::int64_t col0, const Tensor& from) {
  checks::pack(to, row0, col0, from);
  pack_into(to.storage.data(), leaves_of(to.shape), row0, col0, from);
}

void DeviceOps::pack(const MatrixStack& to, std::int64_t index, std::int64_t row0,
                     std::int64_t col0, const Tensor& from) {
  checks::pack(to, index, row0, col0, from);
  pack_into(to.storage.data() + static_cast<Bytes>(index) * matrix_bytes(to.shape),
            product_leaves(to.shape.cut), row0, col0, from);
}

void DeviceOps::pack_into(std::byte* to, const ProductLeaves& leaves, std::int64_t row0,
                          std::int64_t col0, const Tensor& from) {
  if (from.elements() == 0) return;
  const Bytes row_bytes = static_cast<Bytes>(from.row_elements()) * size_of(from.dtype());
  const auto most = static_cast<std::int64_t>(runtime_.scratch_bytes() / row_bytes);
  require(most > 0, "pack: rows of {} bytes", row_bytes);
  const std::lock_guard lock(packing_);
  runtime_.enter_thread();
  with_type(from.dtype(), [&](auto element) {
    using T = decltype(element);
    for (std::int64_t begin = 0; begin < from.rows(); begin += most) {
      const Tensor part = from.slice(begin, std::min(begin + most, from.rows()));
      std::byte* const stage = scratch();
      if (part.contiguous()) {
        runtime_.copy_in_later(part.data(), stage, part.bytes());
      } else {
        for (std::int64_t row = 0; row < part.rows(); ++row) {
          runtime_.copy_in_later(part.slice(row, row + 1).data(),
                                 stage + static_cast<Bytes>(row) * row_bytes, row_bytes);
        }
      }
      const std::int64_t columns = part.row_elements();
      runtime_.launch("pack", row_grid(columns, kRowThreads, part.rows()), kRowThreads, 0,
                      PackWeights<T>{leaves,
                                     {reinterpret_cast<const T*>(stage), columns},
                                     reinterpret_cast<T*>(to),
                                     row0 + begin,
                                     col0,
                                     part.rows(),
                                     columns});
    }
  });
}

void DeviceOps::embed(const Matrix& table, const Tensor& rows, const Tensor& out) {
  checks::embed(table, rows, out);
  with_type(table.shape.dtype, [&](auto element) {
    using T = decltype(element);
    runtime_.launch(
        "embed", row_grid(out.row_elements(), kRowThreads, out.rows()), kRowThreads, 0,
        Embed<T>{leaves_of(table.shape), reinterpret_cast<const T*>(table.storage.data()),
                 data_of<std::int32_t>(rows), rows_of<float>(out), out.rows(), out.row_elements()});
  });
}

void DeviceOps::rotary_table(const Tensor& positions, const Tensor& inverse_frequencies,
                             float scale, const Tensor& cosines, const Tensor& sines) {
  checks::rotary_table(positions, inverse_frequencies, cosines, sines);
  const std::int64_t half = inverse_frequencies.elements();
  const std::int64_t rows = positions.elements();
  runtime_.launch("rotary_table", row_grid(half, RotaryTable::kThreads, rows),
                  RotaryTable::kThreads, 0,
                  RotaryTable{data_of<std::int32_t>(positions), data_of<float>(inverse_frequencies),
                              scale, rows_of<float>(cosines), rows_of<float>(sines), rows, half});
}

void DeviceOps::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  checks::rms_norm(x, weight, out);
  const std::int64_t columns = x.row_elements();
  if (x.rows() == 0) return;
  // A row that fits is read once and kept.
  const std::size_t whole = sizeof(float) * (4 + static_cast<std::size_t>(columns));
  const bool staged = whole <= runtime_.shared_bytes();
  const std::size_t bytes = staged ? whole : 4 * sizeof(float);
  const int threads = columns >= 1024 ? kRowThreads : 64;
  with_type(out.dtype(), [&](auto element) {
    using T = decltype(element);
    runtime_.launch("rms_norm", Grid{x.rows(), 1, 1}, threads, bytes,
                    RmsNorm<T>{rows_of<const float>(x), data_of<float>(weight), rows_of<T>(out),
                               static_cast<std::int32_t>(columns), eps, staged});
  });
}

void DeviceOps::swiglu(const Tensor& gate_up, const Tensor& out) {
  checks::swiglu(gate_up, out);
  with_type(out.dtype(), [&](auto element) {
    using T = decltype(element);
    runtime_.launch(
        "swiglu", row_grid(out.row_elements(), kRowThreads, out.rows()), kRowThreads, 0,
        Swiglu<T>{rows_of<const float>(gate_up), rows_of<T>(out), out.rows(), out.row_elements()});
  });
}

void DeviceOps::add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts,
                         const Tensor& bias, const Tensor& residual) {
  checks::add_tree(nodes, parts, bias, residual);
  const TreeProgram tree = tree_program(nodes, parts);
  runtime_.launch("add_tree", row_grid(residual.row_elements(), kRowThreads, residual.rows()),
                  kRowThreads, 0,
                  AddTree{tree, data_of<float>(bias), rows_of<float>(residual), residual.rows(),
                          residual.row_elements()});
}

void DeviceOps::add_tree_norm(std::span<const TreeNode> nodes, std::span<const Tensor> parts,
                              const Tensor& bias, const Tensor& residual, const NextNorm& next) {
  const std::int64_t columns = residual.row_elements();
  const std::size_t bytes = AddTreeNorm<float>::shared_bytes(columns);
  if (!next.out.defined() || bytes > runtime_.shared_bytes()) {
    return Ops::add_tree_norm(nodes, parts, bias, residual, next);
  }
  checks::add_tree(nodes, parts, bias, residual);
  checks::rms_norm(residual, next.weight, next.out);
  with_type(next.out.dtype(), [&](auto element) {
    using T = decltype(element);
    runtime_.launch("add_tree_norm", Grid{residual.rows(), 1, 1}, AddTreeNorm<T>::kThreads, bytes,
                    AddTreeNorm<T>{tree_program(nodes, parts), data_of<float>(bias),
                                   rows_of<float>(residual), static_cast<std::int32_t>(columns),
                                   data_of<float>(next.weight), next.eps, rows_of<T>(next.out)});
  });
}

void DeviceOps::gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) {
  checks::gather_rows(x, rows, out);
  if (out.elements() == 0) return;
  with_type(out.dtype(), [&](auto element) {
    using T = decltype(element);
    runtime_.launch("gather_rows", row_grid(out.row_elements(), kRowThreads, out.rows()),
                    kRowThreads, 0,
                    GatherRows<T>{rows_of<const T>(x), data_of<std::int32_t>(rows), rows_of<T>(out),
                                  out.rows(), out.row_elements()});
  });
}

void DeviceOps::block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns) {
  checks::block_maxima(logits, values, columns);
  constexpr int kWarps = BlockMaxima::kThreads / 32;
  runtime_.launch(
      "block_maxima",
      row_grid(logits.row_elements(), kWarps * BlockMaxima::kColumns, logits.rows()),
      BlockMaxima::kThreads, 0,
      BlockMaxima{rows_of<const float>(logits), rows_of<float>(values),
                  rows_of<std::int32_t>(columns), logits.rows(), logits.row_elements()});
}

void DeviceOps::finish_qkv(const Tensor& qkv, const HeadMap& heads, const QkvTail& tail,
                           const BatchView& batch, const KvLayer& cache, const Tensor& q) {
  checks::finish_qkv(qkv, heads, tail, batch, cache, q);
  const std::int64_t count = heads.query_heads + 2 * heads.kv_heads;
  constexpr int kWarps = 4;
  with_type(q.dtype(), [&](auto element) {
    using T = decltype(element);
    static_assert(FinishQkv<T>::kThreads == kWarps * 32);
    FinishQkv<T> kernel{};
    kernel.qkv = rows_of<const float>(qkv);
    kernel.query_heads = static_cast<std::int32_t>(heads.query_heads);
    kernel.kv_heads = static_cast<std::int32_t>(heads.kv_heads);
    kernel.head_dim = static_cast<std::int32_t>(heads.head_dim);
    kernel.bias = data_of<float>(tail.bias);
    kernel.q_norm = data_of<float>(tail.q_norm);
    kernel.k_norm = data_of<float>(tail.k_norm);
    kernel.eps = tail.norm_eps;
    kernel.cosines = rows_of<const float>(tail.cosines);
    kernel.sines = rows_of<const float>(tail.sines);
    kernel.slots = data_of<std::int32_t>(batch.slots);
    kernel.cache = device_cache(cache);
    kernel.q = rows_of<T>(q);
    runtime_.launch("finish_qkv", Grid{qkv.rows(), ceil_div(count, kWarps), 1}, kWarps * 32,
                    static_cast<std::size_t>(kWarps * heads.head_dim) * sizeof(float), kernel);
  });
}

}  // namespace weft::WEFT_PLATFORM
