#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

#include "app/commands/bench_parts.h"
#include "base/clock.h"
#include "comm/mpi_sum.h"

namespace weft {
namespace {

/// Calls between two readings of the clock.
constexpr int kCalls = 50;

/// Seconds of one call, the median over `runs` batches.
double seconds_of_call(Group& group, int runs, const std::function<void()>& call) {
  std::vector<double> seconds;
  for (int run = -1; run < runs; ++run) {
    group.barrier();
    const Stopwatch watch;
    for (int i = 0; i < kCalls; ++i) call();
    if (run >= 0) seconds.push_back(watch.seconds() / kCalls);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

}  // namespace

void bench_dispatcher(Deployment& deployment, int runs) {
  Model& model = deployment.model();
  Group& tp = model.groups().tp();
  const Partition& part = model.partition();
  if (tp.size() == 1 || deployment.device().cuda || !part.config.has_dense_layers()) return;
  Ops& ops = deployment.ops();
  const std::unique_ptr<TensorParallelRegion> region =
      make_region(region_shape(part, model.shape(), ops), ops, tp);
  const auto nodes = static_cast<std::int64_t>(
      part.down_tree.nodes_of[static_cast<std::size_t>(tp.rank())].size());
  const std::int64_t columns = part.config.hidden;
  for (const std::int64_t rows : {1, 16, 256}) {
    const auto elements = static_cast<std::size_t>(rows * columns);
    const Buffer parts(ops.memory(), static_cast<Bytes>(nodes) * elements * sizeof(float));
    const Buffer residual(ops.memory(), elements * sizeof(float));
    const Tensor all_parts = parts.tensor(DType::f32, {nodes, rows, columns});
    const Tensor sum = residual.tensor(DType::f32, {rows, columns});
    const double ours = seconds_of_call(
        tp, runs, [&] { region->reduce(part.down_tree, all_parts, Tensor(), sum, {}); });
    const std::vector<float> in(elements, 0.0F);
    std::vector<float> out(elements);
    const double theirs = seconds_of_call(tp, runs, [&] { mpi_sum(in, out); });
    if (tp.rank() != 0) continue;
    fmt::print("all-reduce {:>3} x {} f32: {:.1f} us, MPI_Allreduce {:.1f} us ({:.2f} times)\n",
               rows, columns, ours * 1e6, theirs * 1e6, ours / theirs);
    std::fflush(stdout);
  }
}

}  // namespace weft
