// The forward pass of a decoder, written once for all layouts and processors.
#pragma once

#include <span>
#include <vector>

#include "cache/kv_cache.h"
#include "model/batch.h"
#include "model/partition.h"
#include "model/region.h"
#include "model/rotary.h"
#include "model/weights.h"
#include "model/workspace.h"
#include "ops/ops.h"

namespace weft {

/// One rank's forward pass. Everything it refers to must outlive it.
class Decoder {
 public:
  Decoder(const Partition& part, const Weights& weights, const KvCache& cache,
          const Workspace& workspace, Region& region, Ops& ops);

  /// Computes all rows of the batch, appending their keys and values to the cache. The batch must
  /// be the same on all ranks of the region.
  void forward(const Batch& batch);

  /// Logits [R, own vocabulary] f32 of rows of the batch just computed; at most
  /// workspace.shape().logit_rows of them. The view is valid until the next call.
  Tensor logits(std::span<const std::int32_t> rows);

 private:
  void upload(const std::vector<std::int32_t>& from, const Tensor& to);
  void embed(const Batch& batch);
  void attention(std::int64_t layer, const BatchView& batch);
  void ffn(std::int64_t layer, std::int64_t rows);

  const Partition& part_;
  const Weights& weights_;
  const KvCache& cache_;
  const Workspace& space_;
  Region& region_;
  Ops& ops_;
  std::vector<Range> vocabulary_of_;  ///< rows of the table that each rank holds
  Buffer frequencies_;                ///< [head_dim / 2] f32
  float rotary_scale_;
  float attention_scale_;
  std::int64_t rows_ = 0;  ///< of the batch just computed
};

/// Bytes that a Decoder allocates itself.
Bytes decoder_bytes(const Partition& part);

}  // namespace weft
