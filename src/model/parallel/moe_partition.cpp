#include "model/parallel/moe_partition.h"

#include <algorithm>

#include "base/error.h"

namespace weft {

MoePartition MoePartition::of(const ModelConfig& config, const ModelSegments& segments,
                              const Shard& shard, int ranks, DType dtype,
                              const ExpertCoordinates& coordinates) {
  MoePartition part;
  if (!config.has_experts()) return part;
  require(coordinates.tp == ranks, "experts placed for tp={} in a group of {}", coordinates.tp,
          ranks);
  part.config = config.moe;
  part.coordinates = coordinates;
  part.experts = experts_of(config.moe.experts, coordinates.part(), coordinates.ep);
  part.segments = segments.expert_down.owned(coordinates.sharer(), coordinates.sharers());
  part.ffn = segments.expert_down.columns_of(part.segments);
  part.tree = ProductTree::of(segments.expert_down, coordinates.sharers());

  const auto whole_k = [&](std::int64_t rows) {
    return MatrixShape{rows, dtype, KCut::of(segments.hidden, {0, segments.hidden.count()})};
  };
  part.router = whole_k(config.moe.experts);
  part.gate_up = whole_k(2 * part.ffn.size());
  part.down = {config.hidden, dtype, KCut::of(segments.expert_down, part.segments)};
  if (!part.shared()) return part;
  part.shared_tree = ProductTree::of(segments.shared_down, ranks);
  part.shared_gate = whole_k(1);
  part.shared_gate_up = whole_k(2 * shard.shared_ffn.size());
  part.shared_down = {config.hidden, dtype, KCut::of(segments.shared_down, shard.shared_segments)};
  return part;
}

std::int64_t MoePartition::most_pairs(std::int64_t max_rows) const {
  return coordinates.domains() * max_rows * std::min(config.per_token, experts.size());
}

}  // namespace weft
