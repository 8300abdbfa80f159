// Weight matrices on CPUs: packing into panels, embedding, products.
#include <algorithm>

#include "base/progress_counter.h"
#include "ops/checks.h"
#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/linear_plan.h"

namespace weft {
namespace {

/// Stack entries that a tree node of 64 leaves needs, the most that a model can have.
constexpr std::int64_t kUsualSlots = 7;

float widened(std::uint16_t bits) { return f32_from_bf16(bits); }
float widened(float value) { return value; }

template <class T>
void unpack_row(const Matrix& table, std::int64_t row, float* out) {
  const std::int64_t columns = table.shape.columns();
  const T* const in = reinterpret_cast<const T*>(table.storage.data()) +
                      row / kPanelRows * columns * kPanelRows + row % kPanelRows;
  for (std::int64_t k = 0; k < columns; ++k) out[k] = widened(in[k * kPanelRows]);
}

}  // namespace

Bytes CpuOps::workspace_bytes(std::int64_t max_rows, std::int64_t max_columns,
                              std::int64_t head_dim) const {
  if (max_rows <= 0 || max_columns <= 0) return 0;
  // A pass of fewer rows than another may have more columns: take the larger of both extremes.
  const std::int64_t rows = std::min(max_rows, kPassRows);
  const std::int64_t x =
      round_up(std::min(rows * max_columns, std::max(kPassFloats, 12 * max_columns)), 16);
  const std::int64_t floats = std::max(x + threads_ * linear_scratch(rows, kUsualSlots),
                                       threads_ * attention_scratch(head_dim));
  return static_cast<Bytes>(floats) * sizeof(float);
}

void CpuOps::reserve_workspace(std::int64_t max_rows, std::int64_t max_columns,
                               std::int64_t head_dim) {
  workspace(
      static_cast<std::int64_t>(workspace_bytes(max_rows, max_columns, head_dim) / sizeof(float)));
}

Bytes CpuOps::matrix_bytes(const MatrixShape& shape) const {
  return static_cast<Bytes>(round_up(shape.rows, kPanelRows) * shape.columns()) *
         size_of(shape.dtype);
}

void CpuOps::pack(const Matrix& to, std::int64_t row0, std::int64_t col0, const Tensor& from) {
  checks::pack(to, row0, col0, from);
  pack_into(to.storage.data(), to.shape, row0, col0, from);
}

void CpuOps::pack(const MatrixStack& to, std::int64_t index, std::int64_t row0, std::int64_t col0,
                  const Tensor& from) {
  checks::pack(to, index, row0, col0, from);
  const Bytes offset = static_cast<Bytes>(index) * matrix_bytes(to.shape);
  pack_into(to.storage.data() + offset, to.shape, row0, col0, from);
}

void CpuOps::pack_into(std::byte* to, const MatrixShape& shape, std::int64_t row0,
                       std::int64_t col0, const Tensor& from) const {
  if (from.elements() == 0) return;
  PanelTask task;
  task.from = from.data();
  task.bf16 = shape.dtype == DType::bf16;
  task.row_stride = from.row_stride();
  task.rows = from.rows();
  task.columns = from.row_elements();
  task.panels = to;
  task.panel_columns = shape.columns();
  task.row0 = row0;
  task.col0 = col0;
  kernels_.pack_panels(task);
}

void CpuOps::embed(const Matrix& table, const Tensor& rows, const Tensor& out) {
  checks::embed(table, rows, out);
  spread(out.rows(), out.elements() * 4, [&](int, Range range) {
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t row = rows.as<std::int32_t>()[i];
      if (row < 0) continue;
      float* const to = out.as<float>() + i * out.row_stride();
      if (table.shape.dtype == DType::bf16) {
        unpack_row<std::uint16_t>(table, row, to);
      } else {
        unpack_row<float>(table, row, to);
      }
    }
  });
}

void CpuOps::linear(const Tensor& x, const Matrix& w, const Tensor& out) {
  checks::linear(x, w, out);
  if (x.rows() == 0 || w.shape.rows == 0 || w.shape.columns() == 0) return;
  plan_leaves(w.shape.cut, leaves_);
  const std::int64_t most = pass_rows(x.rows(), w.shape.columns());
  for (std::int64_t row = 0; row < x.rows(); row += most) {
    const Tensor part = x.slice(row, std::min(row + most, x.rows()));
    linear_pass(part, w, leaves_, x.rows() * w.shape.rows, out.as<float>() + row * w.shape.rows);
  }
}

void CpuOps::linear_pass(const Tensor& x, const Matrix& w, const std::vector<LinearLeaf>& leaves,
                         std::int64_t node_stride, float* out) {
  const std::int64_t rows = x.rows();
  const std::int64_t columns = w.shape.columns();
  const std::int64_t blocks = ceil_div(rows, kernels_.tile_rows);
  const auto block_begin = [&](std::int64_t block) { return block * rows / blocks; };
  const int slots = slots_of(leaves);
  const bool pairs = takes_pairs(kernels_, w.shape.dtype, leaves);
  const std::int64_t row_floats = packed_floats(columns, pairs);
  const std::int64_t x_floats = round_up(rows * row_floats, 16);
  const std::int64_t thread_floats = linear_scratch(rows, slots);
  const auto pack_rows = pairs ? kernels_.pack_pairs : kernels_.pack;
  const auto multiply = pairs ? kernels_.linear_pairs : kernels_.linear;
  float* const packed = workspace(x_floats + threads_ * thread_floats);

  spread(blocks, rows * columns, [&](int, Range range) {
    for (std::int64_t b = range.begin; b < range.end; ++b) {
      const Tensor block = x.slice(block_begin(b), block_begin(b + 1));
      PackTask task;
      task.x = block.data();
      task.bf16 = x.dtype() == DType::bf16;
      task.row_stride = x.row_stride();
      task.rows = block.rows();
      task.columns = columns;
      task.out = packed + block_begin(b) * row_floats;
      pack_rows(task);
    }
  });

  count_progress();
  LinearTask task;
  task.x = packed;
  task.weights = w.storage.data();
  task.bf16 = w.shape.dtype == DType::bf16;
  task.rows = rows;
  task.columns = columns;
  task.outputs = w.shape.rows;
  task.leaves = leaves.data();
  task.leaf_count = static_cast<int>(leaves.size());
  task.out = out;
  task.node_stride = node_stride;
  // Threads share out the panels; when these are few, the row blocks too.
  const std::int64_t panels = ceil_div(w.shape.rows, kPanelRows);
  const std::int64_t parts = std::min(blocks, ceil_div(std::int64_t{4} * threads_, panels));
  spread(panels * parts, rows * columns * w.shape.rows, [&](int thread, Range items) {
    LinearTask mine = task;
    mine.scratch = packed + x_floats + thread * thread_floats;
    if (parts == 1) {
      mine.blocks = {0, blocks};
      mine.panels = items;
      return multiply(mine);
    }
    for (std::int64_t i = items.begin; i < items.end; ++i) {
      const std::int64_t part = i % parts;
      mine.blocks = {part * blocks / parts, (part + 1) * blocks / parts};
      mine.panels = {i / parts, i / parts + 1};
      multiply(mine);
    }
  });
}

}  // namespace weft
