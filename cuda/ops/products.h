// What products with one matrix and with stacks of them have in common on the host's side.
#pragma once

#include <algorithm>

#include "base/tensor.h"
#include "cuda/kernels/linear_few.h"
#include "cuda/platform/runtime.h"

namespace weft::WEFT_PLATFORM {

/// Whether 16-byte pieces of x can be copied.
inline bool pieces_aligned(const Tensor& x, const ProductLeaves& leaves) {
  if (reinterpret_cast<std::uintptr_t>(x.data()) % 16 != 0 || x.row_stride() % 8 != 0) return false;
  return std::all_of(leaves.at, leaves.at + leaves.count,
                     [](const ProductLeaf& leaf) { return leaf.begin % 8 == 0; });
}

/// The product of `rows` rows with packed matrices of bf16, but for where it goes.
inline ProductTask product_task(const Tensor& x, std::int64_t rows, const std::byte* weights,
                                const ProductLeaves& leaves, std::int64_t outputs) {
  ProductTask task;
  task.leaves = leaves;
  task.weights = reinterpret_cast<const std::uint16_t*>(weights);
  task.x = reinterpret_cast<const std::uint16_t*>(x.data());
  task.x_stride = x.row_stride();
  task.rows = rows;
  task.outputs = outputs;
  task.aligned = pieces_aligned(x, leaves);
  return task;
}

/// Launches a LinearFew; `pair_tiles`: tiles of pairs where it is grouped, else 0. False where a
/// block has not enough shared memory.
template <class Kernel>
bool launch_few(Runtime& runtime, const ProductTask& task, std::int64_t pair_tiles) {
  const std::int32_t leaves = task.leaves.count;
  // At least four warps' worth of work for a block.
  std::int32_t row_tiles = leaves >= 4 ? 1 : (4 + leaves - 1) / leaves;
  if (task.gated != nullptr) row_tiles = row_tiles + row_tiles % 2;
  const int items = row_tiles * leaves;
  const int warps = std::min(Kernel::kThreads / 32, items);
  const std::size_t bytes = Kernel::shared_bytes(warps, items);
  if (bytes > runtime.shared_bytes()) return false;
  const std::int64_t blocks = ceil_div(task.outputs, std::int64_t{16} * row_tiles);
  runtime.launch(pair_tiles > 0 ? "expert_linear_few" : "linear_few",
                 pair_tiles > 0 ? Grid{pair_tiles, blocks, 1} : Grid{blocks, 1, 1}, warps * 32,
                 bytes, Kernel{task, row_tiles});
  return true;
}

}  // namespace weft::WEFT_PLATFORM
