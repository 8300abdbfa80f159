#include "model/forward/ffn.h"

#include <algorithm>

#include "model/forward/dense_ffn.h"
#include "model/forward/moe_ffn.h"

namespace weft {
namespace {

DispatcherShape dispatcher_shape(const Partition& part, const StepShape& shape,
                                 Transport transport) {
  return {shape.max_rows, part.config.hidden, part.dtype, transport};
}

}  // namespace

FfnLayers::FfnLayers(const Partition& part, const Weights& weights, const Workspace& space,
                     Transport transport, TensorParallelRegion& region, Ops& ops, Group& tp,
                     Group& experts)
    : part_(part), shape_(dispatcher_shape(part, space.shape(), transport)) {
  const MoePartition& moe = part_.moe;
  if (part.config.has_experts()) {
    moe_space_ =
        std::make_unique<MoeWorkspace>(moe, shape_.hidden, shape_.dtype, shape_.max_rows, ops);
    dispatcher_ = make_expert_dispatcher(moe, shape_, ops, tp, experts);
  }
  // The layers keep references into this.
  loads_.reserve(weights.layers.size());
  for (std::size_t index = 0; index < weights.layers.size(); ++index) {
    const LayerWeights& layer = weights.layers[index];
    if (!layer.moe) {
      layers_.push_back(std::make_unique<DenseFfn>(part, layer, space, region, ops));
      continue;
    }
    loads_.emplace_back(part.stage.layers().begin + static_cast<std::int64_t>(index),
                        moe.config.experts, ops);
    layers_.push_back(std::make_unique<MoeFfn>(moe, *layer.moe, space, *moe_space_, *dispatcher_,
                                               region, ops, slots_, loads_.back()));
  }
}

Bytes FfnLayers::bytes(const Partition& part, const StepShape& shape, Transport transport) {
  if (!part.config.has_experts()) return 0;
  Bytes loads = 0;
  for (std::int64_t l = part.stage.ffn_layers().begin; l < part.stage.ffn_layers().end; ++l) {
    if (part.config.moe.is_sparse(l)) loads += LoadCounter::bytes(part.config.moe.experts);
  }
  return loads + MoeWorkspace::bytes(part.moe, part.config.hidden, part.dtype, shape.max_rows) +
         message_bytes(part, shape, transport);
}

Bytes FfnLayers::message_bytes(const Partition& part, const StepShape& shape, Transport transport) {
  if (!part.config.has_experts()) return 0;
  return dispatcher_bytes(part.moe, dispatcher_shape(part, shape, transport));
}

std::vector<ExpertLoad> FfnLayers::loads() const {
  std::vector<ExpertLoad> loads;
  for (const LoadCounter& counter : loads_) loads.push_back(counter.load());
  return loads;
}

bool FfnLayers::repeats(const Partition& part) {
  return !part.config.has_experts() || part.moe.coordinates.ep == 1;
}

void FfnLayers::begin(std::int64_t rows, const Tensor& slots) {
  slots_ = slots;
  for (LoadCounter& load : loads_) load.begin(rows);
  if (dispatcher_) dispatcher_->begin(rows);
}

std::int64_t largest_rows(const Partition& part, const StepShape& shape) {
  if (!part.config.has_experts()) return shape.max_rows;
  return std::max(shape.max_rows, part.moe.most_pairs(shape.max_rows));
}

}  // namespace weft
