#include "model/parallel/partition.h"

#include "base/error.h"

namespace weft {
namespace {

MatrixShape whole_k(const Partition& part, std::int64_t rows) {
  const Segments& hidden = part.segments.hidden;
  return {rows, part.dtype, KCut::of(hidden, {0, hidden.count()})};
}

HeadMap head_map(const ModelConfig& config, const Shard& shard) {
  HeadMap map;
  map.query_heads = shard.query_heads.size();
  map.kv_heads = shard.kv_heads.size();
  map.head_dim = config.head_dim;
  const std::int64_t group = config.query_heads / config.kv_heads;
  for (std::int64_t head = shard.query_heads.begin; head < shard.query_heads.end; ++head) {
    map.kv_head_of.push_back(static_cast<std::int32_t>(head / group - shard.kv_heads.begin));
  }
  return map;
}

}  // namespace

Partition Partition::of(const ModelConfig& config, const SegmentCaps& caps, DType dtype, int rank,
                        int ranks, std::int64_t layers,
                        const std::optional<ExpertCoordinates>& coordinates) {
  Partition part;
  part.config = config;
  part.dtype = dtype;
  part.rank = rank;
  part.ranks = ranks;
  part.segments = segments_of(config, caps);
  part.shard = shard_of(config, part.segments, rank, ranks);
  part.heads = head_map(config, part.shard);
  part.layers = layers > 0 ? layers : config.layers;
  part.stage = {0, 1, {0, 2 * part.layers}};
  part.o_tree = ProductTree::of(part.segments.o, ranks);
  part.down_tree = ProductTree::of(part.segments.down, ranks);
  part.moe = MoePartition::of(config, part.segments, part.shard, ranks, dtype,
                              coordinates.value_or(ExpertCoordinates{rank, ranks, 1, ranks}));
  return part;
}

Partition Partition::in_stage(const Stage& its_stage) const {
  require(its_stage.sublayers.end <= 2 * layers, "a stage of sub-layers up to {} of {}",
          its_stage.sublayers.end, 2 * layers);
  Partition part = *this;
  part.stage = its_stage;
  return part;
}

MatrixShape Partition::qkv() const { return whole_k(*this, qkv_columns()); }
MatrixShape Partition::gate_up() const { return whole_k(*this, 2 * shard.ffn.size()); }
MatrixShape Partition::vocabulary() const { return whole_k(*this, shard.vocab.size()); }

MatrixShape Partition::o() const {
  return {config.hidden, dtype, KCut::of(segments.o, shard.o_segments)};
}

MatrixShape Partition::down() const {
  return {config.hidden, dtype, KCut::of(segments.down, shard.down_segments)};
}

SublayerCosts sublayer_costs(const ModelConfig& config, std::int64_t layers) {
  const auto hidden = static_cast<double>(config.hidden);
  const auto attention = static_cast<double>(2 * (config.query_columns() + config.kv_columns()));
  const auto ffn = static_cast<double>(3 * config.ffn);
  const MoeConfig& moe = config.moe;
  // A token meets the router, its chosen experts and the shared one; all experts are held.
  const auto sparse = [&](std::int64_t experts) {
    return static_cast<double>(moe.experts + 3 * experts * moe.ffn + 3 * moe.shared_ffn);
  };
  SublayerCosts costs;
  for (std::int64_t layer = 0; layer < (layers > 0 ? layers : config.layers); ++layer) {
    const bool experts = moe.is_sparse(layer);
    costs.prefill.push_back(hidden * attention);
    costs.prefill.push_back(hidden * (experts ? sparse(moe.per_token) : ffn));
    costs.memory.push_back(hidden * attention);
    costs.memory.push_back(hidden * (experts ? sparse(moe.experts) : ffn));
  }
  const double vocabulary = hidden * static_cast<double>(config.vocab);
  costs.decode = costs.prefill;
  costs.decode.back() += vocabulary;
  costs.memory.front() += vocabulary;
  costs.memory.back() += vocabulary;
  return costs;
}

std::vector<Range> vocabulary_ranges(const Partition& part) {
  std::vector<Range> ranges;
  for (int rank = 0; rank < part.ranks; ++rank) {
    ranges.push_back(shard_of(part.config, part.segments, rank, part.ranks).vocab);
  }
  return ranges;
}

}  // namespace weft
