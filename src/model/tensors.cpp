#include "model/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

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
  ModelSegments segments;
  segments.hidden = Segments::cut(config.hidden, kColumnUnit, caps.whole);
  segments.o = Segments::cut(config.query_columns(), config.head_dim, caps.split);
  segments.down = Segments::cut(config.ffn, kColumnUnit, caps.split);
  if (config.has_experts()) {
    segments.expert_down = Segments::cut(config.moe.ffn, kColumnUnit, caps.whole);
    if (config.moe.shared_ffn > 0) {
      segments.shared_down = Segments::cut(config.moe.shared_ffn, kColumnUnit, caps.split);
    }
  }
  return segments;
}

std::string layer_tensor(std::int64_t layer, std::string_view name, std::string_view rest) {
  return fmt::format("model.layers.{}.{}{}", layer, name, rest);
}

std::vector<TensorSpec> tensors_of(const ModelConfig& config) {
  std::vector<TensorSpec> tensors;
  const auto add = [&](std::int64_t layer, std::string name, std::vector<std::int64_t> shape,
                       Axis axis, std::int64_t experts = 0) {
    tensors.push_back({std::move(name), std::move(shape), axis, layer, experts});
  };
  const TensorNames& names = config.family->tensors;
  const std::int64_t hidden = config.hidden;
  add(-1, std::string(names.embedding), {config.vocab, hidden}, Axis::vocab_rows);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const auto in_layer = [&](std::string_view name, std::vector<std::int64_t> shape, Axis axis,
                              std::int64_t experts = 0) {
      add(layer, layer_tensor(layer, name), std::move(shape), axis, experts);
    };
    const auto attention = [&](const char* name, std::vector<std::int64_t> shape, Axis axis) {
      add(layer, layer_tensor(layer, names.attention, name), std::move(shape), axis);
    };
    const auto gate_up_down = [&](std::string_view block, std::int64_t ffn, Axis rows,
                                  Axis columns) {
      add(layer, layer_tensor(layer, block, "gate_proj.weight"), {ffn, hidden}, rows);
      add(layer, layer_tensor(layer, block, "up_proj.weight"), {ffn, hidden}, rows);
      add(layer, layer_tensor(layer, block, "down_proj.weight"), {hidden, ffn}, columns);
    };
    in_layer(names.attention_norm, {hidden}, Axis::whole);
    attention("q_proj.weight", {config.query_columns(), hidden}, Axis::query_rows);
    attention("k_proj.weight", {config.kv_columns(), hidden}, Axis::kv_rows);
    attention("v_proj.weight", {config.kv_columns(), hidden}, Axis::kv_rows);
    if (config.qkv_bias) {
      attention("q_proj.bias", {config.query_columns()}, Axis::query_rows);
      attention("k_proj.bias", {config.kv_columns()}, Axis::kv_rows);
      attention("v_proj.bias", {config.kv_columns()}, Axis::kv_rows);
    }
    if (config.qk_norm) {
      attention("q_norm.weight", {config.head_dim}, Axis::whole);
      attention("k_norm.weight", {config.head_dim}, Axis::whole);
    }
    attention("o_proj.weight", {hidden, config.query_columns()}, Axis::o_columns);
    if (config.output_bias) attention("o_proj.bias", {hidden}, Axis::whole);
    in_layer(names.ffn_norm, {hidden}, Axis::whole);
    if (!config.moe.is_sparse(layer)) {
      gate_up_down(names.ffn, config.ffn, Axis::ffn_rows, Axis::down_columns);
      continue;
    }
    const MoeConfig& moe = config.moe;
    in_layer(names.router, {moe.experts, hidden}, Axis::whole);
    for (const std::string_view name : {names.expert_gate, names.expert_up}) {
      in_layer(name, {moe.experts * moe.ffn, hidden}, Axis::expert_rows, moe.experts);
    }
    in_layer(names.expert_down, {moe.experts * hidden, moe.ffn}, Axis::expert_columns, moe.experts);
    if (moe.shared_ffn == 0) continue;
    gate_up_down(names.shared, moe.shared_ffn, Axis::shared_rows, Axis::shared_columns);
    in_layer(names.shared_gate, {1, hidden}, Axis::whole);
  }
  add(config.layers, std::string(names.final_norm), {hidden}, Axis::whole);
  if (!config.tied_embeddings) {
    add(config.layers, std::string(names.head), {config.vocab, hidden}, Axis::vocab_rows);
  }
  return tensors;
}

std::string name_in_checkpoint(const TensorSpec& tensor, std::int64_t expert) {
  if (tensor.experts == 0) return tensor.name;
  constexpr std::string_view marker = ".experts.";
  const std::size_t at = tensor.name.find(marker);
  require(at != std::string::npos, "tensor {} has no experts", tensor.name);
  std::string name = tensor.name;
  return name.insert(at + marker.size(), std::to_string(expert) + ".");
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
  if (segments.shared_down.count() > 0) {
    shard.shared_segments = segments.shared_down.owned(rank, ranks);
    shard.shared_ffn = segments.shared_down.columns_of(shard.shared_segments);
  }
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
    case Axis::shared_rows:
      return shard.shared_ffn;
    default:
      break;
  }
  fail("tensor {} is not cut by rows", tensor.name);
}

const Segments& column_segments(const TensorSpec& tensor, const ModelSegments& segments) {
  require(tensor.cut_by_columns(), "tensor {} is not cut by columns", tensor.name);
  switch (tensor.axis) {
    case Axis::o_columns:
      return segments.o;
    case Axis::expert_columns:
      return segments.expert_down;
    case Axis::shared_columns:
      return segments.shared_down;
    default:
      return segments.down;
  }
}

}  // namespace weft
