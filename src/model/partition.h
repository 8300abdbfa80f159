// One rank's part of a model: everything that its shapes derive from.
#pragma once

#include "model/config.h"
#include "model/region.h"
#include "model/tensors.h"
#include "ops/matrix.h"
#include "ops/ops.h"

namespace weft {

/// What weights, footprint and forward pass of one tensor-parallel rank agree on.
struct Partition {
  ModelConfig config;
  DType dtype = DType::bf16;
  int rank = 0;
  int ranks = 1;
  ModelSegments segments;
  Shard shard;
  HeadMap heads;
  std::int64_t layers = 0;  ///< layers computed: all, or the first `engine.layers`
  ProductTree o_tree;
  ProductTree down_tree;

  /// Part `rank` of `ranks`; `layers` 0 means all.
  static Partition of(const ModelConfig& config, const SegmentCaps& caps, DType dtype, int rank,
                      int ranks, std::int64_t layers = 0);

  // Shapes of the rank's matrices.
  [[nodiscard]] MatrixShape qkv() const;
  [[nodiscard]] MatrixShape o() const;
  [[nodiscard]] MatrixShape gate_up() const;
  [[nodiscard]] MatrixShape down() const;
  /// Embedding table and head: this rank's rows of the vocabulary.
  [[nodiscard]] MatrixShape vocabulary() const;

  [[nodiscard]] std::int64_t qkv_columns() const {
    return (heads.query_heads + 2 * heads.kv_heads) * heads.head_dim;
  }
  [[nodiscard]] std::int64_t query_columns() const { return heads.query_heads * heads.head_dim; }
};

/// The rows of the vocabulary that each rank holds, by rank; empty for some when there are more
/// ranks than blocks.
std::vector<Range> vocabulary_ranges(const Partition& part);

}  // namespace weft
