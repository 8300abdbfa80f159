#include "model/config/config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/json_number.h"
#include "model/config/json_fields.h"
#include "model/config/moe_config.h"
#include "model/config/rope_config.h"

// The defaults for absent keys, and what each family does with a key, are those of Hugging Face
// Transformers' configuration and modeling classes.

namespace weft {
namespace {

using nlohmann::json;

// Upper bounds. They keep every product of sizes, times layers and bytes, below 2^62.
constexpr std::int64_t kHiddenCap = 1 << 20;
constexpr std::int64_t kLayerCap = 1 << 12;
constexpr std::int64_t kHeadCap = 1 << 14;
constexpr std::int64_t kHeadDimCap = 1 << 10;
constexpr std::int64_t kFfnCap = 1 << 24;
constexpr std::int64_t kVocabCap = 1 << 24;

const Family& parse_family(const JsonFields& fields) {
  if (const Family* const family = find_family(fields.text("model_type"))) return *family;
  std::vector<std::string_view> names;
  for (const Family* const family : families()) names.push_back(family->name);
  const std::string_view last = names.back();
  names.pop_back();
  fields.refuse("model_type", fmt::format("not supported; supported are {} and {}",
                                          fmt::join(names, ", "), last));
}

/// Refuses what would change the arithmetic in ways that the forward pass does not know.
void refuse_unsupported(const JsonFields& fields) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (!fields.has(key)) continue;
    const json& quantization = fields.at(key);
    const std::string method = quantization.is_object() && quantization.contains("quant_method")
                                   ? quantization["quant_method"].dump()
                                   : std::string("unnamed");
    fail_user("{}: {}: quantised checkpoints (here: {}) are not supported", fields.where(), key,
              method);
  }
  if (fields.text_or("hidden_act", "silu") != "silu") {
    fields.refuse("hidden_act", "only silu is supported");
  }
  if (fields.boolean_or("mlp_bias", false)) {
    fields.refuse("mlp_bias", "biases of the feed-forward layers are not supported");
  }
}

void parse_sizes(const JsonFields& fields, ModelConfig& config) {
  config.hidden = fields.integer("hidden_size", 1, kHiddenCap);
  config.layers = fields.integer("num_hidden_layers", 1, kLayerCap);
  config.ffn = fields.integer("intermediate_size", 1, kFfnCap);
  config.vocab = fields.integer("vocab_size", 1, kVocabCap);
  config.max_positions = fields.integer("max_position_embeddings", 1, kPositionsCap);
  config.norm_eps =
      static_cast<float>(fields.number_or("rms_norm_eps", config.family->norm_eps, 1e-30, 1));
  config.tied_embeddings = fields.boolean_or("tie_word_embeddings", false);
}

void parse_heads(const JsonFields& fields, const json& object, ModelConfig& config) {
  config.query_heads = fields.integer("num_attention_heads", 1, kHeadCap);
  // A null means as many as query heads, in every family.
  const bool absent = !object.contains("num_key_value_heads") && config.family->kv_heads > 0;
  config.kv_heads = fields.integer_or(
      "num_key_value_heads", absent ? config.family->kv_heads : config.query_heads, 1, kHeadCap);
  if (config.query_heads % config.kv_heads != 0) {
    fail_user("{}: num_attention_heads = {} is not a multiple of num_key_value_heads = {}",
              fields.where(), config.query_heads, config.kv_heads);
  }
  if (fields.has("head_dim")) {
    config.head_dim = fields.integer("head_dim", 2, kHeadDimCap);
  } else if (config.family->head_dim > 0) {
    config.head_dim = config.family->head_dim;
  } else if (config.hidden % config.query_heads == 0) {
    config.head_dim = config.hidden / config.query_heads;
  } else {
    fail_user(
        "{}: hidden_size = {} is not a multiple of num_attention_heads = {}, and there is no "
        "head_dim",
        fields.where(), config.hidden, config.query_heads);
  }
  if (config.head_dim % 2 != 0 || config.head_dim < 2 || config.head_dim > kHeadDimCap) {
    fail_user("{}: head_dim = {}: must be even, from 2 to {}", fields.where(), config.head_dim,
              kHeadDimCap);
  }
}

void parse_biases(const JsonFields& fields, ModelConfig& config) {
  const bool attention_bias = fields.boolean_or("attention_bias", false);
  switch (config.family->bias) {
    case AttentionBias::none:
      if (attention_bias) {
        fields.refuse("attention_bias", fmt::format("{} has no biases", config.family->name));
      }
      break;
    case AttentionBias::by_key:
      config.qkv_bias = attention_bias;
      config.output_bias = attention_bias;
      break;
    case AttentionBias::qkv:
      config.qkv_bias = true;
      break;
    case AttentionBias::qkv_by_key:
      config.qkv_bias = fields.boolean_or("qkv_bias", true);
      break;
  }
  config.qk_norm = config.family->qk_norm;
}

// --- sliding windows -----------------------------------------------------------------------------

/// The sliding window of the layers that have one; 0 when no layer may have one.
std::int64_t parse_window(const JsonFields& fields, const json& object,
                          const FamilyWindows& windows) {
  if (windows.layers == WindowLayers::none) return 0;
  if (windows.switched && !fields.boolean_or("use_sliding_window", false)) return 0;
  const std::int64_t absent = object.contains("sliding_window") ? 0 : windows.window;
  return fields.integer_or("sliding_window", absent, 1, kPositionsCap);
}

/// Which layers `layer_types` makes sliding; UserError for other kinds and a wrong count.
std::vector<bool> parse_layer_types(const JsonFields& fields, std::int64_t layers) {
  const json& types = fields.at("layer_types");
  if (!types.is_array() || types.size() != static_cast<std::size_t>(layers)) {
    fields.refuse("layer_types", fmt::format("must be a list of {} entries, one a layer", layers));
  }
  std::vector<bool> sliding;
  for (const json& type : types) {
    const bool full = type == "full_attention" || type == "attention";
    if (!full && type != "sliding_attention") {
      fields.refuse("layer_types", "only full_attention and sliding_attention are supported");
    }
    sliding.push_back(!full);
  }
  return sliding;
}

void parse_windows(const JsonFields& fields, const json& object, ModelConfig& config) {
  const FamilyWindows& windows = config.family->windows;
  const std::int64_t window = parse_window(fields, object, windows);
  const bool alternating = windows.layers == WindowLayers::every_second;
  const bool by_layer = alternating || windows.layers == WindowLayers::from_edge;
  const std::int64_t edge =
      by_layer ? fields.integer_or("max_window_layers", 28, 0, kPositionsCap) : 0;
  std::vector<bool> sliding;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const bool slides = alternating ? layer % 2 == 0 && layer < edge : layer >= edge;
    sliding.push_back(window > 0 && slides);
  }
  if (fields.has("layer_types")) {
    const std::vector<bool> given = parse_layer_types(fields, config.layers);
    // The others treat all layers alike and do not look at the list: it must not disagree.
    if (!by_layer && given != sliding) {
      fields.refuse("layer_types",
                    fmt::format("{} has the same attention in all layers", config.family->name));
    }
    if (window == 0 && std::find(given.begin(), given.end(), true) != given.end()) {
      fields.refuse("layer_types", "has sliding layers, but there is no sliding window");
    }
    sliding = given;
  }
  for (const bool slides : sliding) config.windows.push_back(slides ? window : 0);
}

// --- special tokens ------------------------------------------------------------------------------

std::vector<TokenId> parse_ids(const JsonFields& fields, const char* key, std::int64_t vocab) {
  if (!fields.has(key)) return {};
  const json& value = fields.at(key);
  const json list = value.is_array() ? value : json::array({value});
  std::vector<TokenId> ids;
  for (const json& id : list) {
    const std::optional<std::int64_t> number = whole_number(id);
    if (!number || *number < 0 || *number >= vocab) {
      fields.refuse(key,
                    fmt::format("must be a token id, or a list of them, from 0 to {}", vocab - 1));
    }
    ids.push_back(static_cast<TokenId>(*number));
  }
  return ids;
}

void parse_special_tokens(const JsonFields& fields, const json& object, ModelConfig& config) {
  const auto absent = [&](const char* key, std::optional<TokenId> id) {
    return id && *id < config.vocab && !object.contains(key);
  };
  const Family& family = *config.family;
  const std::vector<TokenId> bos = parse_ids(fields, "bos_token_id", config.vocab);
  if (!bos.empty()) config.bos = bos.front();
  config.eos = parse_ids(fields, "eos_token_id", config.vocab);
  if (absent("bos_token_id", family.bos)) config.bos = family.bos;
  if (absent("eos_token_id", family.eos)) config.eos = {*family.eos};
}

}  // namespace

ModelConfig parse_config(const json& config) {
  const JsonFields fields(config, "config.json");
  ModelConfig model;
  model.family = &parse_family(fields);
  refuse_unsupported(fields);
  parse_sizes(fields, model);
  parse_heads(fields, config, model);
  parse_biases(fields, model);
  model.moe = parse_moe(fields, model);
  const RopeConfig rope = parse_rope(fields, config, model.max_positions, model.family->rope_theta);
  model.rope_theta = rope.theta;
  model.rope_scaling = rope.scaling;
  parse_windows(fields, config, model);
  parse_special_tokens(fields, config, model);
  return model;
}

std::vector<TokenId> parse_generation_config(const json& generation, std::int64_t vocab) {
  return parse_ids(JsonFields(generation, "generation_config.json"), "eos_token_id", vocab);
}

std::optional<DType> config_dtype(const json& config) {
  const JsonFields fields(config, "config.json");
  const char* key = fields.has("dtype") ? "dtype" : "torch_dtype";
  if (!fields.has(key)) return std::nullopt;
  const std::string type = fields.text(key);
  if (type == "bfloat16") return DType::bf16;
  if (type == "float32") return DType::f32;
  if (type == "float16") return DType::f16;
  fields.refuse(key, "not supported; supported are bfloat16, float32 and float16");
}

}  // namespace weft
