// The forward pass of a decoder, written once for all layouts and processors.
#pragma once

#include <span>
#include <vector>

#include "base/tracer.h"
#include "cache/kv_cache.h"
#include "model/forward/batch.h"
#include "model/forward/device_tokens.h"
#include "model/forward/ffn.h"
#include "model/forward/recorded_steps.h"
#include "model/forward/rotary.h"
#include "model/forward/step_indices.h"
#include "model/forward/weights.h"
#include "model/forward/workspace.h"
#include "model/parallel/kv_exchange.h"
#include "model/parallel/partition.h"
#include "model/parallel/pipeline_link.h"
#include "model/parallel/tensor_parallel_region.h"
#include "ops/views.h"

namespace weft {

class Ops;

/// Where a rank's part of the forward pass meets those of other ranks.
struct DecoderEdges {
  TensorParallelRegion& region;  ///< of its sub-layers, among tensor-parallel ranks
  FfnLayers& ffns;               ///< its feed-forward sub-layers, which may cross further edges
  KvExchange& kv_exchange;       ///< before attention, among the ranks that share prompts
  PipelineLink& pipe;            ///< before its first and behind its last sub-layer
};

/// One rank's forward pass. Everything it refers to must outlive it.
class Decoder {
 public:
  Decoder(const Partition& part, const Weights& weights, const KvCache& cache,
          const Workspace& workspace, const DeviceTokens& device_tokens, DecoderEdges edges,
          Traffic& traffic, Ops& ops, Tracer& tracer);

  /// Computes this stage's sub-layers for all rows of the batch, appending their keys and values to
  /// the cache. The batch must be the same on all ranks of the region and in all stages; it
  /// may be empty. All ranks that share experts must call it as often.
  void forward(const Batch& batch);

  /// Logits [R, own vocabulary] f32 of rows of the batch just computed; at most
  /// workspace.shape().logit_rows of them. The view is valid until the next call. In the last stage
  /// only.
  Tensor logits(std::span<const std::int32_t> rows);

  /// How many steps were recorded and repeated.
  [[nodiscard]] RecorderCounts recorder_counts() const { return recorded_.counts(); }

 private:
  [[nodiscard]] const LayerWeights& weights_of(std::int64_t layer) const;
  void embed(const TableLookup& lookup, const StepIndices& indices);
  /// All sub-layers. Asks for the same whenever the arrays of the batch have the same sizes; a step
  /// that is recorded consists of this.
  void compute(const BatchView& batch);
  /// The norm that a sub-layer of this stage reads: the sub-layer before it leaves it there.
  [[nodiscard]] NextNorm norm_before(std::int64_t sublayer, std::int64_t rows) const;
  void attention(std::int64_t layer, const BatchView& batch);
  void ffn(std::int64_t layer, std::int64_t rows);

  const Partition& part_;
  const Weights& weights_;
  const KvCache& cache_;
  const Workspace& space_;
  const DeviceTokens& kept_;
  DecoderEdges edges_;
  Ops& ops_;
  Tracer& tracer_;
  std::vector<Range> vocabulary_of_;  ///< rows of the table that each rank holds
  Buffer frequencies_;                ///< [head_dim / 2] f32
  float rotary_scale_;
  float attention_scale_;
  RecordedSteps recorded_;
  std::int64_t rows_ = 0;  ///< of the batch just computed
};

/// Bytes that a Decoder allocates itself.
Bytes decoder_bytes(const Partition& part);

}  // namespace weft
