#include "layout/segments.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace weft {

Segments Segments::cut(std::int64_t k, std::int64_t unit_width, int cap) {
  require(k > 0 && unit_width > 0 && cap > 0, "cut of {} columns in units of {}, cap {}", k,
          unit_width, cap);
  const std::int64_t units = ceil_div(k, unit_width);
  const auto limit = static_cast<std::uint64_t>(std::min<std::int64_t>(cap, units));
  const auto count = static_cast<std::int64_t>(std::bit_floor(limit));
  require(count >= 1, "{} columns make no segment", k);
  Segments segments;
  for (std::int64_t i = 0; i <= count; ++i) {
    segments.begins_.push_back(std::min(i * units / count * unit_width, k));
  }
  return segments;
}

Range Segments::owned(int rank, int ranks) const {
  return {std::int64_t{rank} * count() / ranks, (std::int64_t{rank} + 1) * count() / ranks};
}

std::vector<TreeNode> cover(Range leaves) {
  TreeStack stack;
  for (std::int64_t leaf = leaves.begin; leaf < leaves.end; ++leaf) stack.push({0, leaf});
  return stack.nodes();
}

int TreeStack::push(TreeNode node) {
  require(nodes_.empty() || nodes_.back().leaves().end == node.leaves().begin,
          "tree nodes must be pushed in ascending order without holes");
  nodes_.push_back(node);
  int merges = 0;
  while (nodes_.size() >= 2) {
    const TreeNode left = nodes_[nodes_.size() - 2];
    const TreeNode right = nodes_.back();
    if (left.level != right.level || (left.index & 1) != 0) break;
    nodes_.pop_back();
    nodes_.back() = {left.level + 1, left.index / 2};
    ++merges;
  }
  return merges;
}

}  // namespace weft
