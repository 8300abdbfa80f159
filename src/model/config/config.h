// The shape of a model, as read from a Hugging Face config.json.
#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/types.h"
#include "model/config/families/families.h"

namespace weft {

/// How rotary frequencies are stretched for long contexts; see model/forward/rotary.h for the
/// formulas.
struct RopeScaling {
  enum class Type { none, linear, llama3, yarn };
  Type type = Type::none;
  double factor = 1;
  double original_max_positions = 0;       ///< llama3, yarn
  double low_freq_factor = 1;              ///< llama3
  double high_freq_factor = 4;             ///< llama3
  double beta_fast = 32;                   ///< yarn
  double beta_slow = 1;                    ///< yarn
  bool truncate = true;                    ///< yarn: round the ramp's bounds outwards to integers
  std::optional<double> attention_factor;  ///< yarn
  std::optional<double> mscale;            ///< yarn
  std::optional<double> mscale_all_dim;    ///< yarn
};

/// The experts of a model that has any; see docs/internals/numerics.md for what is computed.
struct MoeConfig {
  std::int64_t experts = 0;     ///< of each sparse layer; 0: a dense model
  std::int64_t per_token = 0;   ///< experts that each token goes to
  std::int64_t ffn = 0;         ///< width of one expert
  std::int64_t shared_ffn = 0;  ///< width of the expert that all tokens go to; 0: none
  bool normalise = false;       ///< the chosen probabilities are divided by their sum
  std::vector<bool> sparse;     ///< which layers have experts; `layers` entries, or none at all

  [[nodiscard]] bool is_sparse(std::int64_t layer) const {
    return experts > 0 && sparse[static_cast<std::size_t>(layer)];
  }
};

/// What the forward pass needs to know of a model.
struct ModelConfig {
  const Family* family = &kLlama;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t ffn = 0;  ///< width of the layers without experts
  std::int64_t vocab = 0;
  std::int64_t max_positions = 0;
  float norm_eps = 0;
  double rope_theta = 0;
  RopeScaling rope_scaling;
  MoeConfig moe;
  bool tied_embeddings = false;
  bool qkv_bias = false;
  bool output_bias = false;
  bool qk_norm = false;
  /// Sliding window of each layer in keys, 0 for full attention; `layers` entries.
  std::vector<std::int64_t> windows;
  std::optional<TokenId> bos;
  std::vector<TokenId> eos;

  [[nodiscard]] std::int64_t query_columns() const { return query_heads * head_dim; }
  [[nodiscard]] std::int64_t kv_columns() const { return kv_heads * head_dim; }
  /// True when some layer is without experts.
  [[nodiscard]] bool has_dense_layers() const {
    return moe.experts == 0 ||
           std::find(moe.sparse.begin(), moe.sparse.end(), false) != moe.sparse.end();
  }
  /// True when some layer has experts.
  [[nodiscard]] bool has_experts() const {
    return moe.experts > 0 &&
           std::find(moe.sparse.begin(), moe.sparse.end(), true) != moe.sparse.end();
  }
};

/// Reads a config.json. Throws UserError that names the key for what is missing, out of range or
/// not supported (quantised checkpoints, other activations, other architectures, mlp_bias, …).
ModelConfig parse_config(const nlohmann::json& config);

/// The end-of-sequence ids of a generation_config.json (`eos_token_id`: a number or a list); where
/// there are any, they take precedence over config.json's. Empty when the file names none. Throws
/// UserError for anything that is not an id below `vocab`.
std::vector<TokenId> parse_generation_config(const nlohmann::json& generation, std::int64_t vocab);

/// The element type that config.json says the weights have (`dtype`, or `torch_dtype` in older
/// files): bf16, f32 or f16; nothing when it says none. Throws UserError for any other.
std::optional<DType> config_dtype(const nlohmann::json& config);

}  // namespace weft
