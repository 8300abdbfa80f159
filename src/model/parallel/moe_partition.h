// One rank's part of the experts: everything that their shapes derive from.
#pragma once

#include "layout/experts.h"
#include "model/config/config.h"
#include "model/parallel/tensor_parallel_region.h"
#include "model/tensors.h"
#include "ops/matrix.h"

namespace weft {

/// What weights, footprint, exchange and forward pass of one rank agree on. Empty for dense models.
struct MoePartition {
  MoeConfig config;
  ExpertCoordinates coordinates;
  Range experts;            ///< of this rank's part
  Range segments;           ///< of each of these experts' down projection
  Range ffn;                ///< columns of those segments
  ProductTree tree;         ///< of an expert's down projection, over the ranks that share it
  ProductTree shared_tree;  ///< of the shared expert's, over the tensor-parallel ranks

  // Shapes of the rank's matrices.
  MatrixShape router;
  MatrixShape gate_up;         ///< of each expert
  MatrixShape down;            ///< of each expert
  MatrixShape shared_gate;     ///< one row
  MatrixShape shared_gate_up;  ///< no rows where there is no shared expert
  MatrixShape shared_down;

  /// `shard` is the rank's among the `ranks` tensor-parallel ones.
  static MoePartition of(const ModelConfig& config, const ModelSegments& segments,
                         const Shard& shard, int ranks, DType dtype,
                         const ExpertCoordinates& coordinates);

  [[nodiscard]] bool shared() const { return config.shared_ffn > 0; }
  /// Tree nodes that this rank has of each expert's output, and that all sharers have together.
  [[nodiscard]] std::int64_t own_nodes() const {
    return static_cast<std::int64_t>(down.cut.nodes.size());
  }
  [[nodiscard]] std::int64_t all_nodes() const {
    return static_cast<std::int64_t>(tree.nodes.size());
  }
  /// Most (row, expert) pairs that this rank may have to compute when each of the expert group's
  /// domains has up to `max_rows` rows.
  [[nodiscard]] std::int64_t most_pairs(std::int64_t max_rows) const;
};

}  // namespace weft
