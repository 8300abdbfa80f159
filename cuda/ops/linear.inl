// DeviceOps: products with packed matrices.
#include <algorithm>

#include "cuda/kernels/linear_f32.h"
#include "cuda/kernels/linear_fast.h"
#include "cuda/kernels/linear_few.h"
#include "cuda/kernels/linear_many.h"
#include "cuda/kernels/rows.h"
#include "cuda/ops/device_ops.h"
#include "ops/checks.h"

namespace weft::WEFT_PLATFORM {
namespace {

/// Shared memory that a block can have on the GPUs that we compile for (Hopper).
constexpr std::size_t kMostShared = 227 << 10;

/// Rows up to which weights stream through registers.
constexpr std::int64_t kFewRows = 16;

bool pieces_aligned(const Tensor& x, const ProductLeaves& leaves) {
  if (reinterpret_cast<std::uintptr_t>(x.data()) % 16 != 0 || x.row_stride() % 8 != 0) return false;
  return std::all_of(leaves.at, leaves.at + leaves.count,
                     [](const ProductLeaf& leaf) { return leaf.begin % 8 == 0; });
}

template <int N>
void launch_few(Runtime& runtime, const ProductTask& task) {
  const std::int32_t leaves = task.leaves.count;
  // At least four warps' worth of work for a block.
  const std::int32_t row_tiles = leaves >= 4 ? 1 : (4 + leaves - 1) / leaves;
  const int items = row_tiles * leaves;
  const int warps = std::min(LinearFew<N>::kThreads / 32, items);
  runtime.launch("linear_few", Grid{ceil_div(task.outputs, std::int64_t{16} * row_tiles), 1, 1},
                 warps * 32, LinearFew<N>::shared_bytes(warps, items),
                 LinearFew<N>{task, row_tiles});
}

}  // namespace

void DeviceOps::linear(const Tensor& x, const Matrix& w, const Tensor& out) {
  checks::linear(x, w, out);
  if (x.rows() == 0 || w.shape.rows == 0 || w.shape.columns() == 0) return;
  const ProductLeaves leaves = leaves_of(w.shape);
  if (w.shape.dtype == DType::bf16) {
    return linear_bf16({leaves, reinterpret_cast<const std::uint16_t*>(w.storage.data()),
                        reinterpret_cast<const std::uint16_t*>(x.data()), x.row_stride(), x.rows(),
                        w.shape.rows, out.as<float>(), pieces_aligned(x, leaves)});
  }
  runtime_.launch(
      "linear_f32",
      Grid{ceil_div(w.shape.rows, LinearF32::kOutputs), ceil_div(x.rows(), LinearF32::kRows), 1},
      LinearF32::kThreads, LinearF32::shared_bytes(),
      LinearF32{leaves,
                reinterpret_cast<const float*>(w.storage.data()),
                {reinterpret_cast<const float*>(x.data()), x.row_stride()},
                x.rows(),
                w.shape.rows,
                out.as<float>()});
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
    }
    begin = leaf.end;
  }
}

void DeviceOps::linear_bf16(const ProductTask& task) {
  if (products_) return linear_fast(task);
  if (task.rows <= 8) return launch_few<1>(runtime_, task);
  if (task.rows <= kFewRows) return launch_few<2>(runtime_, task);
  // Deep trees leave less room for the tile in shared memory.
  const auto fits = [&](std::size_t bytes) { return bytes <= kMostShared; };
  const int waiting = task.leaves.waiting;
  if (task.rows > 64 && fits(LinearMany<128>::shared_bytes(waiting))) {
    return linear_tiles<128>(task);
  }
  if (task.rows > 32 && fits(LinearMany<64>::shared_bytes(waiting))) return linear_tiles<64>(task);
  linear_tiles<32>(task);
}

template <int T>
void DeviceOps::linear_tiles(const ProductTask& task) {
  const std::int64_t output_tiles = ceil_div(task.outputs, LinearMany<T>::kOutputs);
  const std::int64_t row_tiles = ceil_div(task.rows, T);
  const std::int64_t leaves = task.leaves.count;
  const std::int64_t sums = task.rows * task.outputs;
  // Too few tiles to fill the processor: every leaf becomes a block's work.
  const bool split = leaves > 1 &&
                     output_tiles * row_tiles < std::int64_t{2} * runtime_.multiprocessors() &&
                     static_cast<Bytes>(leaves * sums) * sizeof(float) <= runtime_.scratch_bytes();
  LinearMany<T> kernel{task, split, static_cast<std::int32_t>(output_tiles),
                       static_cast<std::int32_t>(row_tiles)};
  if (split) kernel.task.out = reinterpret_cast<float*>(scratch());
  runtime_.launch("linear_many", Grid{output_tiles * row_tiles, split ? leaves : 1, 1},
                  LinearMany<T>::kThreads,
                  LinearMany<T>::shared_bytes(split ? 0 : task.leaves.waiting), kernel);
  if (!split) return;
  runtime_.launch("join_leaves", Grid{ceil_div(sums, kRowThreads), 1, 1}, kRowThreads, 0,
                  JoinLeaves{task.leaves, kernel.task.out, task.out, sums});
}

}  // namespace weft::WEFT_PLATFORM
