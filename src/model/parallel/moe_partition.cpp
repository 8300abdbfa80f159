#include "model/parallel/moe_partition.h"

#include <algorithm>

#include "base/error.h"

namespace weft {

MoePartition MoePartition::of(const ModelConfig& config, const ModelSegments& segments,
                              const Shard& shard, int ranks, DType dtype,
                              const ExpertPlace& place) {
  MoePartition part;
  if (!config.has_experts()) return part;
  require(place.tp == ranks, "experts placed for tp={} in a group of {}", place.tp, ranks);
  part.config = config.moe;
  part.place = place;
  part.experts = experts_of(config.moe.experts, place.part(), place.ep);
  part.segments = segments.expert_down.owned(place.sharer(), place.sharers());
  part.ffn = segments.expert_down.columns_of(part.segments);
  part.tree = ProductTree::of(segments.expert_down, place.sharers());

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
  return place.domains() * max_rows * std::min(config.per_token, experts.size());
}

}  // namespace weft
