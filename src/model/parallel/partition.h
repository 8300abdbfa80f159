// One rank's part of a model: everything that its shapes derive from.
#pragma once

#include <optional>

#include "layout/stages.h"
#include "model/config/config.h"
#include "model/parallel/moe_partition.h"
#include "model/parallel/tensor_parallel_region.h"
#include "model/tensors.h"
#include "ops/matrix.h"
#include "ops/views.h"

namespace weft {

/// What weights, footprint and forward pass of one rank of a replica agree on.
struct Partition {
  ModelConfig config;
  DType dtype = DType::bf16;
  int rank = 0;   ///< among the tensor-parallel ranks
  int ranks = 1;  ///< tensor-parallel ranks
  ModelSegments segments;
  Shard shard;
  HeadMap heads;
  std::int64_t layers = 0;  ///< layers computed: all, or the first `engine.layers`
  Stage stage;              ///< which of their sub-layers are computed here
  ProductTree o_tree;
  ProductTree down_tree;
  MoePartition moe;

  /// Part `rank` of `ranks` of a pipeline of one stage; `layers` 0 means all. Without `place` all
  /// these ranks share each expert.
  static Partition of(const ModelConfig& config, const SegmentCaps& caps, DType dtype, int rank,
                      int ranks, std::int64_t layers = 0,
                      const std::optional<ExpertCoordinates>& coordinates = std::nullopt);
  /// The same part of another stage.
  [[nodiscard]] Partition in_stage(const Stage& its_stage) const;

  /// Columns of the layers without experts on this rank; 0 when there are no such layers.
  [[nodiscard]] std::int64_t dense_columns() const {
    return config.has_dense_layers() ? shard.ffn.size() : 0;
  }

  // Shapes of the rank's matrices.
  [[nodiscard]] MatrixShape qkv() const;
  [[nodiscard]] MatrixShape o() const;
  [[nodiscard]] MatrixShape gate_up() const;
  [[nodiscard]] MatrixShape down() const;
  /// Embedding table and head: this rank's rows of the vocabulary.
  [[nodiscard]] MatrixShape vocabulary() const;

  /// Whether this stage needs the embedding table: to look tokens up, or as its head.
  [[nodiscard]] bool has_embedding() const {
    return stage.first() || (stage.last() && config.tied_embeddings);
  }
  /// Whether it needs a head that is not the embedding table.
  [[nodiscard]] bool has_head() const { return stage.last() && !config.tied_embeddings; }

  [[nodiscard]] std::int64_t qkv_columns() const {
    return (heads.query_heads + 2 * heads.kv_heads) * heads.head_dim;
  }
  [[nodiscard]] std::int64_t query_columns() const { return heads.query_heads * heads.head_dim; }
};

/// What each sub-layer of a model costs, in parameters: those that a row multiplies with, and those
/// that are held. The head counts for the last sub-layer, where logits are wanted. The embedding
/// table is work for nobody, but memory for the first one, as the head (or the second copy of tied
/// weights) is for the last. `layers` 0 means all.
SublayerCosts sublayer_costs(const ModelConfig& config, std::int64_t layers = 0);

/// The rows of the vocabulary that each rank holds, by rank; empty for some when there are more
/// ranks than blocks.
std::vector<Range> vocabulary_ranges(const Partition& part);

}  // namespace weft
