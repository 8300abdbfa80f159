// The canonical cut of a GEMM's K into segments, and the tree in which they combine.
#pragma once

#include <cstdint>
#include <vector>

#include "base/types.h"

namespace weft {

/// The numerics contract's cut of K columns into S segments (S a power of two). It depends on the
/// model alone, never on the layout: every rank boundary along K falls between two segments.
class Segments {
 public:
  /// Cuts `k` columns, made of units of `unit_width` columns each (the last unit may be narrower),
  /// into the largest power of two S <= min(cap, units) segments; segment i holds the units
  /// floor(i*U/S) … floor((i+1)*U/S)-1.
  static Segments cut(std::int64_t k, std::int64_t unit_width, int cap);

  /// 0 for segments that nothing was cut into.
  [[nodiscard]] int count() const {
    return begins_.empty() ? 0 : static_cast<int>(begins_.size()) - 1;
  }
  [[nodiscard]] std::int64_t columns() const { return begins_.empty() ? 0 : begins_.back(); }

  /// Columns of segment `i`.
  [[nodiscard]] Range columns_of(int i) const {
    return {begins_[static_cast<std::size_t>(i)], begins_[static_cast<std::size_t>(i) + 1]};
  }
  /// Columns of a run of segments.
  [[nodiscard]] Range columns_of(Range segments) const {
    return {begins_[static_cast<std::size_t>(segments.begin)],
            begins_[static_cast<std::size_t>(segments.end)]};
  }

  /// The consecutive segments that rank `rank` of `ranks` owns: floor(r*S/n) … floor((r+1)*S/n)-1.
  /// Empty for some ranks when ranks > count().
  [[nodiscard]] Range owned(int rank, int ranks) const;

 private:
  std::vector<std::int64_t> begins_;
};

/// A node of the balanced binary tree over the segments: the sum of the 2^level segments that start
/// at index * 2^level.
struct TreeNode {
  int level = 0;
  std::int64_t index = 0;

  [[nodiscard]] Range leaves() const { return {index << level, (index + 1) << level}; }
  bool operator==(const TreeNode&) const = default;
};

/// The fewest tree nodes that cover `leaves`, ascending. Summing them up the tree (see
/// `TreeStack`) is the same addition order whatever rank holds which node.
std::vector<TreeNode> cover(Range leaves);

/// The order of additions in a tree, as a stack machine: push nodes in ascending order; after each
/// push, `merges()` says how many times the two topmost entries must be added (left + right).
///
///   TreeStack stack;
///   for (const TreeNode& node : nodes) {
///     put(node's value on the stack);
///     for (int n = stack.push(node); n > 0; --n) replace the top two by (second + top);
///   }
///
/// When all leaves of the tree were pushed one value remains: the root.
class TreeStack {
 public:
  /// Pushes a node, gives the number of additions that follow.
  int push(TreeNode node);

  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  [[nodiscard]] const std::vector<TreeNode>& nodes() const { return nodes_; }

 private:
  std::vector<TreeNode> nodes_;
};

}  // namespace weft
