// DeviceOps: layers with experts.
#include <algorithm>

#include "cuda/kernels/linear_f32.h"
#include "cuda/kernels/linear_many.h"
#include "cuda/kernels/moe.h"
#include "cuda/ops/device_ops.h"
#include "cuda/ops/products.h"
#include "cuda/ops/views.h"
#include "ops/checks.h"

namespace weft::WEFT_PLATFORM {

void DeviceOps::route(const Tensor& logits, const Tensor& slots, bool normalise,
                      const Tensor& experts, const Tensor& weights, const Tensor& loads) {
  checks::route(logits, slots, experts, weights, loads);
  const std::int64_t count = logits.row_elements();
  if (logits.rows() == 0) return;
  require(count <= Route::kMostExperts, "route: {} experts", count);
  runtime_.launch("route", Grid{ceil_div(logits.rows(), Route::kThreads / 32), 1, 1},
                  Route::kThreads, 0,
                  Route{rows_of<float>(logits), data_of<std::int32_t>(slots),
                        reinterpret_cast<std::int32_t*>(experts.data()), rows_of<float>(weights),
                        reinterpret_cast<std::int32_t*>(loads.data()), logits.rows(),
                        static_cast<std::int32_t>(count),
                        static_cast<std::int32_t>(experts.row_elements()), normalise});
}

void DeviceOps::sort_pairs(const Tensor& experts, const Tensor& ends, const Tensor& rows,
                           const Tensor& places) {
  checks::sort_pairs(experts, ends, rows, places);
  const std::int64_t pairs = experts.elements();
  if (pairs == 0) return clear(ends);
  const int threads = pairs > 256 ? SortPairs::kThreads : 32;
  runtime_.launch(
      "sort_pairs", Grid{ends.elements(), 1, 1}, threads, SortPairs::shared_bytes(),
      SortPairs{data_of<std::int32_t>(experts), reinterpret_cast<std::int32_t*>(ends.data()),
                reinterpret_cast<std::int32_t*>(rows.data()),
                reinterpret_cast<std::int32_t*>(places.data()), pairs,
                static_cast<std::int32_t>(experts.row_elements()),
                static_cast<std::int32_t>(places.elements() / pairs)});
}

void DeviceOps::expert_linear(const Tensor& x, const Tensor& rows, const Tensor& ends,
                              const MatrixStack& w, const Tensor& out) {
  const std::int64_t pairs = checks::expert_linear(x, rows, ends, w, out);
  const std::int64_t outputs = w.shape.rows;
  if (pairs == 0 || outputs == 0 || w.shape.columns() == 0) return;
  const ProductLeaves leaves = product_leaves(w.shape.cut);
  const ExpertPairs run{data_of<std::int32_t>(rows), data_of<std::int32_t>(ends),
                        static_cast<std::int32_t>(w.count),
                        static_cast<std::int64_t>(matrix_bytes(w.shape) / size_of(w.shape.dtype))};
  if (w.shape.dtype == DType::bf16) {
    ProductTask task = product_task(x, pairs, w.storage.data(), leaves, outputs);
    task.out = out.as<float>();
    task.pairs = run;
    return expert_linear_bf16(task, w.count);
  }
  using Kernel = LinearF32<true>;
  runtime_.launch("expert_linear_f32",
                  Grid{most_expert_tiles(pairs, w.count, Kernel::kRows),
                       ceil_div(outputs, Kernel::kOutputs), 1},
                  Kernel::kThreads, Kernel::shared_bytes(),
                  Kernel{leaves, reinterpret_cast<const float*>(w.storage.data()),
                         rows_of<const float>(x), pairs, outputs, out.as<float>(), run});
}

void DeviceOps::expert_linear_bf16(const ProductTask& task, std::int64_t matrices) {
  // How pairs fall on experts is known to the device only. Experts have this many on average, and
  // one that has more than fit a tile reads its weights once for each of its tiles, which run side
  // by side. So tiles are wider than the average.
  const std::int64_t mean = ceil_div(task.rows, std::min(task.rows, matrices));
  const auto few = [&](int height) { return most_expert_tiles(task.rows, matrices, height); };
  if (mean <= 4 && launch_few<LinearFew<1, true>>(runtime_, task, few(8))) return;
  if (mean <= 12 && launch_few<LinearFew<2, true>>(runtime_, task, few(16))) return;
  if (mean > 64 && expert_linear_tiles<128>(task, matrices)) return;
  if (mean > 24 && expert_linear_tiles<64>(task, matrices)) return;
  if (expert_linear_tiles<32>(task, matrices)) return;
  require(launch_few<LinearFew<2, true>>(runtime_, task, few(16)),
          "a product of {} outputs and {} leaves: no room for its sums", task.outputs,
          task.leaves.count);
}

template <int T>
bool DeviceOps::expert_linear_tiles(const ProductTask& task, std::int64_t matrices) {
  using Kernel = LinearMany<T, true>;
  const int waiting = task.leaves.waiting;
  const std::size_t bytes = Kernel::shared_bytes(waiting);
  if (bytes > runtime_.shared_bytes()) return false;
  Kernel kernel{task, false, 0, 0};
  kernel.kept = waiting;
  runtime_.launch(
      "expert_linear_many",
      Grid{most_expert_tiles(task.rows, matrices, T), ceil_div(task.outputs, Kernel::kOutputs), 1},
      Kernel::kThreads, bytes, kernel);
  return true;
}

void DeviceOps::combine(std::span<const TreeNode> nodes, const Tensor& parts, const Tensor& rows,
                        const Tensor& weights, const Tensor& out) {
  checks::combine(nodes, parts, rows, weights, out);
  require(nodes.size() <= static_cast<std::size_t>(kMostNodes), "combine: {} nodes", nodes.size());
  Combine kernel;
  TreeStack stack;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    kernel.merges[i] = static_cast<std::int8_t>(stack.push(nodes[i]));
    require(stack.size() <= std::size_t{kTreeDepth}, "combine: a tree deeper than {}", kTreeDepth);
  }
  kernel.nodes = static_cast<std::int32_t>(nodes.size());
  kernel.k = static_cast<std::int32_t>(weights.row_elements());
  kernel.parts = rows_of<const float>(parts);
  kernel.index = data_of<std::int32_t>(rows);
  kernel.weights = rows_of<const float>(weights);
  kernel.out = rows_of<float>(out);
  kernel.rows = out.rows();
  kernel.columns = out.row_elements();
  runtime_.launch("combine", row_grid(out.row_elements(), kRowThreads, out.rows()), kRowThreads, 0,
                  kernel);
}

void DeviceOps::add_gated(const Tensor& gate, const Tensor& x, const Tensor& sum) {
  checks::add_gated(gate, x, sum);
  runtime_.launch("add_gated", row_grid(sum.row_elements(), kRowThreads, sum.rows()), kRowThreads,
                  0,
                  AddGated{rows_of<const float>(gate), rows_of<const float>(x), rows_of<float>(sum),
                           sum.rows(), sum.row_elements()});
}

}  // namespace weft::WEFT_PLATFORM
