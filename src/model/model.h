// One rank's model, ready to compute: weights, cache, activations and the forward pass.
#pragma once

#include <memory>

#include "comm/replica_groups.h"
#include "model/footprint.h"
#include "model/forward/decoder.h"
#include "model/forward/device_tokens.h"
#include "model/forward/vocabulary.h"
#include "model/parallel/kv_exchange.h"
#include "model/parallel/pipeline_link.h"

namespace weft {

/// Owns what a Decoder refers to. Takes all its memory in the constructor: with the weights exactly
/// what `footprint_of` says, but for what NCCL adds to symmetric memory.
class Model {
 public:
  /// Takes the rank's weights, as load_weights makes them, and allocates the rest, together with
  /// the ranks of `groups`: none of them may have failed to load. `ops`, `groups` and `tracer` must
  /// outlive the model. `part` and `shape.sp` must suit the rank's place in `groups`.
  Model(Weights weights, const Partition& part, const EngineShape& shape, Ops& ops,
        ReplicaGroups& groups, Tracer& tracer, const RegionFactory& region = make_region);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  [[nodiscard]] const Partition& partition() const { return part_; }
  [[nodiscard]] const EngineShape& shape() const { return shape_; }
  [[nodiscard]] Decoder& decoder() { return decoder_; }
  /// In the last stage only: the others have no logits.
  [[nodiscard]] Vocabulary& vocabulary();
  /// Tokens of a step that the next one may name before the host knows them.
  [[nodiscard]] const DeviceTokens& device_tokens() const { return device_tokens_; }
  [[nodiscard]] ReplicaGroups& groups() { return groups_; }
  /// Charges the time of this rank.
  [[nodiscard]] Tracer& tracer() { return tracer_; }
  /// How this rank's tokens fell on the experts of each layer that has any.
  [[nodiscard]] std::vector<ExpertLoad> expert_loads() const { return ffns_.loads(); }

 private:
  ReplicaGroups& groups_;
  Partition part_;
  EngineShape shape_;
  Tracer& tracer_;
  Weights weights_;
  KvCache cache_;
  Workspace workspace_;
  DeviceTokens device_tokens_;
  std::unique_ptr<TensorParallelRegion> region_;
  FfnLayers ffns_;
  KvExchange kv_exchange_;
  PipelineLink link_;
  std::unique_ptr<Vocabulary> vocabulary_;
  Decoder decoder_;
};

}  // namespace weft
