// A weight matrix in the form that a backend wants it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/dtype.h"
#include "base/types.h"
#include "layout/segments.h"

namespace weft {

/// A rank's part of the K dimension of a GEMM: which segments of the canonical cut it holds.
/// Leaves that follow each other in the tree; columns are counted from the rank's first one.
struct KCut {
  /// The leaves [begin, end) of the tree that this rank holds.
  Range leaves;
  /// For each leaf held, the end of its columns, counted from this rank's first column.
  std::vector<std::int64_t> ends;
  /// The tree nodes that cover the leaves: what a product with this matrix yields.
  std::vector<TreeNode> nodes;

  /// The part of `segments` with the leaves `leaves`.
  static KCut of(const Segments& segments, Range leaves);

  [[nodiscard]] std::int64_t columns() const { return ends.empty() ? 0 : ends.back(); }
};

/// Shape of a rank's part of a weight matrix [rows (outputs), columns (inputs)].
struct MatrixShape {
  std::int64_t rows = 0;
  DType dtype = DType::bf16;
  KCut cut;

  [[nodiscard]] std::int64_t columns() const { return cut.columns(); }
};

/// A packed matrix. The arrangement of `storage` is the backend's own affair.
struct Matrix {
  MatrixShape shape;
  Buffer storage;
};

/// Matrices of one shape, one behind the other: a projection of a layer's experts.
struct MatrixStack {
  MatrixShape shape;  ///< of each
  std::int64_t count = 0;
  Buffer storage;
};

}  // namespace weft
