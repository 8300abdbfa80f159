#include "model/tensors.h"

#include <algorithm>

#include "base/error.h"

namespace weft {
namespace {

/// Part `rank` of `ranks` of `units` units: floor(r*U/n) … floor((r+1)*U/n)-1.
Range part(std::int64_t units, int rank, int ranks) {
  return {rank * units / ranks, (std::int64_t{rank} + 1) * units / ranks};
}

/// Units to the rows or columns that they are made of, at most `limit`.
Range scaled(Range units, std::int64_t width, std::int64_t limit) {
  return {std::min(units.begin * width, limit), std::min(units.end * width, limit)};
}

constexpr std::int64_t kColumnUnit = 16;

}  // namespace

ModelSegments segments_of(const ModelConfig& config, const SegmentCaps& caps) {
  return {Segments::cut(config.hidden, kColumnUnit, caps.whole),
          Segments::cut(config.query_columns(), config.head_dim, caps.split),
          Segments::cut(config.ffn, kColumnUnit, caps.split)};
}

std::vector<TensorSpec> tensors_of(const ModelConfig& config) {
  std::vector<TensorSpec> tensors;
  const auto add = [&](std::int64_t layer, std::string name, std::vector<std::int64_t> shape,
                       Axis axis) {
    tensors.push_back({std::move(name), std::move(shape), axis, layer});
  };
  const std::int64_t hidden = config.hidden;
  add(-1, "model.embed_tokens.weight", {config.vocab, hidden}, Axis::vocab_rows);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    const std::string attention = prefix + "self_attn.";
    add(layer, prefix + "input_layernorm.weight", {hidden}, Axis::whole);
    add(layer, attention + "q_proj.weight", {config.query_columns(), hidden}, Axis::query_rows);
    add(layer, attention + "k_proj.weight", {config.kv_columns(), hidden}, Axis::kv_rows);
    add(layer, attention + "v_proj.weight", {config.kv_columns(), hidden}, Axis::kv_rows);
    if (config.qkv_bias) {
      add(layer, attention + "q_proj.bias", {config.query_columns()}, Axis::query_rows);
      add(layer, attention + "k_proj.bias", {config.kv_columns()}, Axis::kv_rows);
      add(layer, attention + "v_proj.bias", {config.kv_columns()}, Axis::kv_rows);
    }
    if (config.qk_norm) {
      add(layer, attention + "q_norm.weight", {config.head_dim}, Axis::whole);
      add(layer, attention + "k_norm.weight", {config.head_dim}, Axis::whole);
    }
    add(layer, attention + "o_proj.weight", {hidden, config.query_columns()}, Axis::o_columns);
    if (config.output_bias) add(layer, attention + "o_proj.bias", {hidden}, Axis::whole);
    add(layer, prefix + "post_attention_layernorm.weight", {hidden}, Axis::whole);
    add(layer, prefix + "mlp.gate_proj.weight", {config.ffn, hidden}, Axis::ffn_rows);
    add(layer, prefix + "mlp.up_proj.weight", {config.ffn, hidden}, Axis::ffn_rows);
    add(layer, prefix + "mlp.down_proj.weight", {hidden, config.ffn}, Axis::down_columns);
  }
  add(config.layers, "model.norm.weight", {hidden}, Axis::whole);
  if (!config.tied_embeddings) {
    add(config.layers, "lm_head.weight", {config.vocab, hidden}, Axis::vocab_rows);
  }
  return tensors;
}

Shard shard_of(const ModelConfig& config, const ModelSegments& segments, int rank, int ranks) {
  Shard shard;
  shard.o_segments = segments.o.owned(rank, ranks);
  shard.down_segments = segments.down.owned(rank, ranks);
  const Range columns = segments.o.columns_of(shard.o_segments);
  shard.query_heads = {columns.begin / config.head_dim, columns.end / config.head_dim};
  const std::int64_t group = config.query_heads / config.kv_heads;
  shard.kv_heads = shard.query_heads.empty() ? Range{}
                                             : Range{shard.query_heads.begin / group,
                                                     ceil_div(shard.query_heads.end, group)};
  shard.ffn = segments.down.columns_of(shard.down_segments);
  shard.vocab =
      scaled(part(ceil_div(config.vocab, kVocabBlock), rank, ranks), kVocabBlock, config.vocab);
  return shard;
}

Range stored_rows(const TensorSpec& tensor, const ModelConfig& config,
                  const ModelSegments& segments, int rank, int ranks) {
  const Shard shard = shard_of(config, segments, rank, ranks);
  switch (tensor.axis) {
    case Axis::query_rows:
      return scaled(shard.query_heads, config.head_dim, tensor.rows());
    case Axis::kv_rows:
      return scaled(part(config.kv_heads, rank, ranks), config.head_dim, tensor.rows());
    case Axis::ffn_rows:
      return shard.ffn;
    case Axis::vocab_rows:
      return shard.vocab;
    default:
      break;
  }
  fail("tensor {} is not cut by rows", tensor.name);
}

const Segments& column_segments(const TensorSpec& tensor, const ModelSegments& segments) {
  require(tensor.cut_by_columns(), "tensor {} is not cut by columns", tensor.name);
  return tensor.axis == Axis::o_columns ? segments.o : segments.down;
}

}  // namespace weft
