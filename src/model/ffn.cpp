#include "model/ffn.h"

#include <algorithm>
#include <numeric>

#include "model/dense_ffn.h"
#include "model/moe_ffn.h"

namespace weft {
namespace {

ExchangeShape exchange_shape(const Partition& part, const StepShape& shape, Transport transport) {
  return {shape.max_rows, part.config.hidden, part.dtype, transport};
}

}  // namespace

double ExpertLoad::imbalance() const {
  const std::int64_t total = std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0});
  if (total == 0) return 0;
  const std::int64_t most = *std::max_element(tokens.begin(), tokens.end());
  return static_cast<double>(most) * static_cast<double>(tokens.size()) /
         static_cast<double>(total);
}

FfnLayers::FfnLayers(const Partition& part, const Weights& weights, const Workspace& space,
                     Transport transport, Region& region, Ops& ops, Group& tp, Group& experts) {
  const MoePartition& moe = part.moe;
  if (part.config.has_experts()) {
    const StepShape& shape = space.shape();
    moe_space_ =
        std::make_unique<MoeWorkspace>(moe, part.config.hidden, part.dtype, shape.max_rows, ops);
    exchange_ = make_exchange(moe, exchange_shape(part, shape, transport), ops, tp, experts);
  }
  // The layers keep references into this.
  loads_.reserve(weights.layers.size());
  for (std::size_t index = 0; index < weights.layers.size(); ++index) {
    const LayerWeights& layer = weights.layers[index];
    if (!layer.moe) {
      layers_.push_back(std::make_unique<DenseFfn>(part, layer, space, region, ops));
      continue;
    }
    loads_.push_back({part.stage.layers().begin + static_cast<std::int64_t>(index),
                      std::vector<std::int64_t>(static_cast<std::size_t>(moe.config.experts), 0)});
    layers_.push_back(std::make_unique<MoeFfn>(moe, *layer.moe, space, *moe_space_, *exchange_,
                                               region, ops, loads_.back()));
  }
}

Bytes FfnLayers::bytes(const Partition& part, const StepShape& shape, Transport transport) {
  if (!part.config.has_experts()) return 0;
  return MoeWorkspace::bytes(part.moe, part.config.hidden, part.dtype, shape.max_rows) +
         message_bytes(part, shape, transport);
}

Bytes FfnLayers::message_bytes(const Partition& part, const StepShape& shape, Transport transport) {
  if (!part.config.has_experts()) return 0;
  return exchange_bytes(part.moe, exchange_shape(part, shape, transport));
}

void FfnLayers::begin(std::int64_t rows) {
  if (exchange_) exchange_->begin(rows);
}

std::int64_t largest_rows(const Partition& part, const StepShape& shape) {
  if (!part.config.has_experts()) return shape.max_rows;
  return std::max(shape.max_rows, part.moe.most_pairs(shape.max_rows));
}

}  // namespace weft
