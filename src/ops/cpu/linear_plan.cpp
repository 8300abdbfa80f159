#include "ops/cpu/linear_plan.h"

#include <algorithm>
#include <bit>

namespace weft {

std::int64_t pass_rows(std::int64_t rows, std::int64_t columns) {
  const std::int64_t fitting = std::max<std::int64_t>(kPassFloats / columns, 1);
  const std::int64_t most = std::clamp<std::int64_t>(fitting / 12 * 12, 12, kPassRows);
  return ceil_div(rows, ceil_div(rows, most));
}

// Leaf i of a node that begins at leaf b is preceded by as many
// waiting sums as i-b has one bits, and completes as many as i-b has trailing one bits.
void plan_leaves(const KCut& cut, std::vector<LinearLeaf>& leaves) {
  leaves.clear();
  std::size_t node = 0;
  std::int64_t begin = 0;
  for (std::int64_t leaf = cut.leaves.begin; leaf < cut.leaves.end; ++leaf) {
    const Range of_node = cut.nodes[node].leaves();
    const auto offset = static_cast<std::uint64_t>(leaf - of_node.begin);
    const std::int64_t end = cut.ends[static_cast<std::size_t>(leaf - cut.leaves.begin)];
    const bool complete = leaf + 1 == of_node.end;
    leaves.push_back({begin, end, std::popcount(offset), std::countr_one(offset),
                      complete ? static_cast<int>(node) : -1});
    begin = end;
    if (complete) ++node;
  }
}

bool takes_pairs(const CpuKernels& kernels, DType dtype, const std::vector<LinearLeaf>& leaves) {
  return kernels.linear_pairs != nullptr && dtype == DType::bf16 &&
         std::all_of(leaves.begin(), leaves.end(),
                     [](const LinearLeaf& leaf) { return leaf.begin % 2 == 0; });
}

int slots_of(const std::vector<LinearLeaf>& leaves) {
  int slots = 0;
  for (const LinearLeaf& leaf : leaves) slots = std::max(slots, leaf.slot + 1);
  return slots;
}

}  // namespace weft
