#include "model/partition.h"

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
                        int ranks, std::int64_t layers) {
  Partition part;
  part.config = config;
  part.dtype = dtype;
  part.rank = rank;
  part.ranks = ranks;
  part.segments = segments_of(config, caps);
  part.shard = shard_of(config, part.segments, rank, ranks);
  part.heads = head_map(config, part.shard);
  part.layers = layers > 0 ? layers : config.layers;
  part.o_tree = ProductTree::of(part.segments.o, ranks);
  part.down_tree = ProductTree::of(part.segments.down, ranks);
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

std::vector<Range> vocabulary_ranges(const Partition& part) {
  std::vector<Range> ranges;
  for (int rank = 0; rank < part.ranks; ++rank) {
    ranges.push_back(shard_of(part.config, part.segments, rank, part.ranks).vocab);
  }
  return ranges;
}

}  // namespace weft
