#include "model/footprint.h"

#include <algorithm>

#include "model/forward/decoder.h"
#include "model/forward/device_tokens.h"
#include "model/forward/vocabulary.h"
#include "model/forward/weights.h"
#include "model/parallel/kv_exchange.h"
#include "model/parallel/pipeline_link.h"

namespace weft {
namespace {

/// Sub-layers, as many as have the launches of all that are recorded: one with experts has up to
/// three times those of others, and four times with a shared one.
std::int64_t recorded_sublayers(const Partition& part) {
  if (!FfnLayers::repeats(part)) return 0;
  const Stage& stage = part.stage;
  std::int64_t count = stage.sublayers.size();
  if (!part.config.has_experts()) return count;
  for (std::int64_t layer = stage.ffn_layers().begin; layer < stage.ffn_layers().end; ++layer) {
    if (part.config.moe.is_sparse(layer)) count += part.moe.shared() ? 3 : 2;
  }
  return count;
}

}  // namespace

KvShape kv_shape(const Partition& part, std::int64_t block_tokens, std::int64_t kv_blocks) {
  return {part.stage.attention_layers().size(),
          part.heads.kv_heads,
          part.heads.head_dim,
          block_tokens,
          kv_blocks,
          part.dtype};
}

RegionShape region_shape(const Partition& part, const EngineShape& shape, const OpSizes& ops) {
  const auto count = [](const std::vector<TreeNode>& nodes) {
    return static_cast<std::int64_t>(nodes.size());
  };
  const auto rank = static_cast<std::size_t>(part.rank);
  RegionShape region;
  region.max_rows = shape.step.max_rows;
  region.columns = part.config.hidden;
  for (const ProductTree* tree : {&part.o_tree, &part.down_tree, &part.moe.shared_tree}) {
    if (tree->nodes_of.empty()) continue;  // a product that the model has not
    region.own_nodes = std::max(region.own_nodes, count(tree->nodes_of[rank]));
    region.all_nodes = std::max(region.all_nodes, count(tree->nodes));
  }
  region.device_token_rows = std::min(DeviceTokens::count(part, shape, ops), shape.step.max_rows);
  region.ranks = part.ranks;
  region.transport = shape.transport;
  return region;
}

std::int64_t largest_k(const Partition& part) {
  return std::max({part.config.hidden, part.o().columns(), part.dense_columns(),
                   part.shard.shared_ffn.size(), part.moe.ffn.size()});
}

Footprint footprint_of(const Partition& part, const EngineShape& shape, const OpSizes& ops) {
  Footprint footprint;
  footprint.weights = weight_bytes(part, ops);
  const KvShape kv = kv_shape(part, shape.block_tokens, shape.kv_blocks);
  footprint.kv_cache = static_cast<Bytes>(shape.kv_blocks) * kv_block_bytes(kv, ops);
  footprint.activations = Workspace::bytes(part, shape.step) + decoder_bytes(part);
  footprint.buffers =
      region_bytes(region_shape(part, shape, ops)) +
      PipelineLink::bytes(part.stage, shape.step.max_rows, part.config.hidden) +
      KvExchange::bytes(part, shape.step.max_rows, shape.sp) +
      FfnLayers::bytes(part, shape.step, shape.transport) + DeviceTokens::bytes(part, shape, ops) +
      ops.workspace_bytes(largest_rows(part, shape.step), largest_k(part), part.config.head_dim);
  footprint.recorded = ops.recorder_bytes(recorded_sublayers(part));
  footprint.buffers += footprint.recorded;
  if (part.stage.last()) footprint.buffers += Vocabulary::bytes(part, shape.step.logit_rows, ops);
  return footprint;
}

}  // namespace weft
