#include "cuda/ops/device_sizes.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "cuda/gpu_ops.h"
#include "cuda/ops/recorded_sizes.h"
#include "cuda/ops/sampler_room.h"
#include "ops/checks.h"

namespace weft {

ProductLeaves product_leaves(const KCut& cut) {
  require(cut.ends.size() <= static_cast<std::size_t>(kMostLeaves), "a tree of {} leaves",
          cut.ends.size());
  ProductLeaves leaves;
  std::size_t node = 0;
  std::int64_t begin = 0;
  for (std::int64_t leaf = cut.leaves.begin; leaf < cut.leaves.end; ++leaf) {
    const Range of_node = cut.nodes[node].leaves();
    // Leaf i of a node is preceded by as many waiting sums as i has one bits, and completes as many
    // as i has trailing one bits.
    const auto offset = static_cast<std::uint64_t>(leaf - of_node.begin);
    const std::int64_t end = cut.ends[static_cast<std::size_t>(leaf - cut.leaves.begin)];
    ProductLeaf& to = leaves.at[leaves.count++];
    to.begin = static_cast<std::int32_t>(begin);
    to.end = static_cast<std::int32_t>(end);
    to.tile = leaves.tiles;
    to.slot = std::popcount(offset);
    to.merges = std::countr_one(offset);
    const bool complete = leaf + 1 == of_node.end;
    to.node = complete ? static_cast<std::int32_t>(node++) : -1;
    if (!complete) leaves.waiting = std::max(leaves.waiting, to.slot - to.merges + 1);
    leaves.tiles += static_cast<std::int32_t>(ceil_div(end - begin, 16));
    begin = end;
  }
  return leaves;
}

Bytes device_matrix_bytes(const MatrixShape& shape) {
  if (shape.dtype == DType::f32) {
    return static_cast<Bytes>(shape.rows * shape.columns()) * sizeof(float);
  }
  const std::int64_t tiles = ceil_div(shape.rows, 16) * product_leaves(shape.cut).tiles;
  return static_cast<Bytes>(tiles) * 16 * 16 * size_of(shape.dtype);
}

std::int64_t cache_width(std::int64_t head_dim, DType dtype) {
  if (dtype == DType::f32) return head_dim;
  for (const std::int64_t width : {32, 64, 96, 128, 256}) {
    if (head_dim <= width) return width;
  }
  fail("heads of {} are wider than the attention kernels for GPUs go (256)", head_dim);
}

Bytes device_kv_block_bytes(std::int64_t heads, std::int64_t head_dim, std::int64_t block_tokens,
                            DType dtype) {
  checks::kv_block(heads, head_dim, block_tokens, dtype);
  const std::int64_t elements = 2 * heads * cache_width(head_dim, dtype) * block_tokens;
  return static_cast<Bytes>(round_up(elements * static_cast<std::int64_t>(size_of(dtype)), 64));
}

namespace {

class GpuSizes final : public OpSizes {
 public:
  explicit GpuSizes(bool graphs) : most_graphs_(graphs ? GpuOptions{}.most_graphs : 0) {}

  [[nodiscard]] Bytes workspace_bytes(std::int64_t max_rows, std::int64_t max_columns,
                                      std::int64_t /*head_dim*/) const override {
    return max_rows > 0 && max_columns > 0 ? kGpuScratch : 0;
  }
  [[nodiscard]] Bytes matrix_bytes(const MatrixShape& shape) const override {
    return device_matrix_bytes(shape);
  }
  [[nodiscard]] Bytes kv_block_bytes(std::int64_t heads, std::int64_t head_dim,
                                     std::int64_t block_tokens, DType dtype) const override {
    return device_kv_block_bytes(heads, head_dim, block_tokens, dtype);
  }
  [[nodiscard]] Bytes recorder_bytes(std::int64_t sublayers) const override {
    return device_recorder_bytes(sublayers, most_graphs_);
  }
  [[nodiscard]] Bytes sampling_bytes(std::int64_t max_rows, std::int64_t columns) const override {
    return SamplerRoom::of(max_rows, columns).bytes;
  }

 private:
  int most_graphs_;
};

}  // namespace

std::unique_ptr<OpSizes> make_gpu_sizes(bool graphs) { return std::make_unique<GpuSizes>(graphs); }

}  // namespace weft
