// DeviceOps: products with packed matrices.
#include <algorithm>

#include "cuda/kernels/linear_f32.h"
#include "cuda/kernels/linear_fast.h"
#include "cuda/kernels/linear_many.h"
#include "cuda/kernels/rows.h"
#include "cuda/ops/device_ops.h"
#include "cuda/ops/products.h"
#include "ops/checks.h"

namespace weft::WEFT_PLATFORM {
namespace {

/// Rows up to which weights stream through registers.
constexpr std::int64_t kFewRows = 16;

}  // namespace

void DeviceOps::linear(const Tensor& x, const Matrix& w, const Tensor& out) {
  checks::linear(x, w, out);
  if (x.rows() == 0 || w.shape.rows == 0 || w.shape.columns() == 0) return;
  const ProductLeaves leaves = leaves_of(w.shape);
  if (w.shape.dtype == DType::bf16) {
    ProductTask task = product_task(x, x.rows(), w.storage.data(), leaves, w.shape.rows);
    task.out = out.as<float>();
    return linear_bf16(task);
  }
  runtime_.launch("linear_f32",
                  Grid{ceil_div(w.shape.rows, LinearF32<>::kOutputs),
                       ceil_div(x.rows(), LinearF32<>::kRows), 1},
                  LinearF32<>::kThreads, LinearF32<>::shared_bytes(),
                  LinearF32<>{leaves,
                              reinterpret_cast<const float*>(w.storage.data()),
                              {reinterpret_cast<const float*>(x.data()), x.row_stride()},
                              x.rows(),
                              w.shape.rows,
                              out.as<float>(),
                              {}});
}

ProductLeaves DeviceOps::leaves_of(const MatrixShape& shape) const {
  ProductLeaves leaves = product_leaves(shape.cut);
  if (products_ && shape.dtype == DType::bf16) leaves.row_stride = round_up(shape.columns(), 8);
  return leaves;
}

/// Node by node: what other ranks hold of the tree is added up as ever.
void DeviceOps::linear_fast(const ProductTask& task) {
  const ProductLeaves& leaves = task.leaves;
  std::int64_t begin = 0;
  for (int i = 0; i < leaves.count; ++i) {
    const ProductLeaf& leaf = leaves.at[i];
    if (leaf.node < 0) continue;
    float* const out = task.out + leaf.node * task.rows * task.outputs;
    const Grid grid{ceil_div(task.outputs, 16), 1, 1};
    if (task.rows <= 8) {
      using Kernel = LinearFast<1>;
      runtime_.launch("linear_fast", grid, Kernel::kThreads, Kernel::shared_bytes(),
                      Kernel{task, begin, leaf.end, out});
    } else if (task.rows <= kFewRows) {
      using Kernel = LinearFast<2>;
      runtime_.launch("linear_fast", grid, Kernel::kThreads, Kernel::shared_bytes(),
                      Kernel{task, begin, leaf.end, out});
    } else {
      products_->multiply({task.x + begin, task.x_stride, task.weights + begin, leaves.row_stride,
                           task.rows, task.outputs, leaf.end - begin, out},
                          scratch(),
                          std::min(LibraryProducts::kWorkspace, runtime_.scratch_bytes()));
      runtime_.note_foreign();
    }
    begin = leaf.end;
  }
}

void DeviceOps::linear_swiglu(const Tensor& x, const Matrix& gate_up, const Tensor& wide,
                              const Tensor& out) {
  const MatrixShape& shape = gate_up.shape;
  const bool fits = !products_ && shape.dtype == DType::bf16 && shape.rows > 0 &&
                    shape.rows % 32 == 0 && shape.columns() > 0 && shape.cut.nodes.size() == 1 &&
                    out.contiguous();
  if (!fits) return Ops::linear_swiglu(x, gate_up, wide, out);
  checks::linear(x, gate_up, wide);
  checks::swiglu(wide, out);
  if (x.rows() == 0) return;
  ProductTask task =
      product_task(x, x.rows(), gate_up.storage.data(), product_leaves(shape.cut), shape.rows);
  task.gated = reinterpret_cast<std::uint16_t*>(out.data());
  linear_bf16(task);
}

void DeviceOps::linear_bf16(const ProductTask& task) {
  if (products_) return linear_fast(task);
  if (task.rows <= 8 && launch_few<LinearFew<1>>(runtime_, task, 0)) return;
  if (task.rows <= kFewRows && launch_few<LinearFew<2>>(runtime_, task, 0)) return;
  if (task.rows > 64 && linear_tiles<128>(task)) return;
  if (task.rows > 32 && linear_tiles<64>(task)) return;
  require(linear_tiles<32>(task), "a product of {} outputs and {} leaves: no room for its sums",
          task.outputs, task.leaves.count);
}

template <int T>
bool DeviceOps::linear_tiles(const ProductTask& task) {
  using Kernel = LinearMany<T>;
  if (Kernel::shared_bytes(0) > runtime_.shared_bytes()) return false;
  const std::int64_t output_tiles = ceil_div(task.outputs, Kernel::kOutputs);
  const std::int64_t row_tiles = ceil_div(task.rows, T);
  const std::int64_t leaves = task.leaves.count;
  const std::int64_t sums = task.rows * task.outputs;
  Kernel kernel{task, false, static_cast<std::int32_t>(output_tiles),
                static_cast<std::int32_t>(row_tiles)};
  // Too few tiles to fill the processor: every leaf becomes a block's work.
  if (leaves > 1 && output_tiles * row_tiles < std::int64_t{2} * runtime_.multiprocessors() &&
      static_cast<Bytes>(leaves * sums) * sizeof(float) <= runtime_.scratch_bytes()) {
    kernel.split = true;
    kernel.task.out = reinterpret_cast<float*>(scratch());
    kernel.task.gated = nullptr;
    runtime_.launch("linear_many", Grid{output_tiles * row_tiles, leaves, 1}, Kernel::kThreads,
                    Kernel::shared_bytes(0), kernel);
    if (task.gated != nullptr) {
      runtime_.launch(
          "join_gated", Grid{ceil_div(sums / 2, kRowThreads), 1, 1}, kRowThreads, 0,
          JoinGated{task.leaves, kernel.task.out, task.gated, task.rows, task.outputs / 2});
    } else {
      runtime_.launch("join_leaves", Grid{ceil_div(sums, kRowThreads), 1, 1}, kRowThreads, 0,
                      JoinLeaves{task.leaves, kernel.task.out, task.out, sums});
    }
    return true;
  }
  // A large tile reads weights less often, and a slot that does not fit beside it is little used:
  // the tile is chosen by the rows, and such sums wait in the scratch.
  const int waiting = task.leaves.waiting;
  kernel.kept = waiting;
  while (Kernel::shared_bytes(kernel.kept) > runtime_.shared_bytes()) --kernel.kept;
  std::int64_t most_row_tiles = row_tiles;
  if (kernel.kept < waiting) {
    const Bytes of_row_tile =
        static_cast<Bytes>(output_tiles * (waiting - kernel.kept)) * Kernel::kSlotBytes;
    most_row_tiles = static_cast<std::int64_t>(runtime_.scratch_bytes() / of_row_tile);
    if (most_row_tiles == 0) return false;
    kernel.spill = reinterpret_cast<float*>(scratch());
  }
  for (std::int64_t first = 0; first < row_tiles; first += most_row_tiles) {
    const std::int64_t count = std::min(most_row_tiles, row_tiles - first);
    kernel.first_row_tile = static_cast<std::int32_t>(first);
    kernel.row_tiles = static_cast<std::int32_t>(count);
    runtime_.launch("linear_many", Grid{output_tiles * count, 1, 1}, Kernel::kThreads,
                    Kernel::shared_bytes(kernel.kept), kernel);
  }
  return true;
}

}  // namespace weft::WEFT_PLATFORM
