// What distinguishes a decoder family: the defaults of its config.json, its attention, its experts
// and the names of its tensors. All else is common to all families.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/types.h"

namespace weft {

/// Which products of the attention have biases.
enum class AttentionBias {
  none,       ///< none, and config.json may not ask for any
  by_key,     ///< q, k, v and o, where `attention_bias` says so
  qkv,        ///< q, k and v, whatever config.json says
  qkv_by_key  ///< q, k and v, unless `qkv_bias` is false
};

/// Which layers have a sliding window, where config.json has no `layer_types`.
enum class WindowLayers {
  none,
  all,          ///< and `layer_types`, which the family does not read, may not disagree
  from_edge,    ///< those from `max_window_layers` on
  every_second  ///< layers 0, 2, 4, … before `max_window_layers`
};

struct FamilyWindows {
  WindowLayers layers = WindowLayers::none;
  bool switched = false;       ///< only where `use_sliding_window` is true
  std::int64_t window = 4096;  ///< keys, where `sliding_window` is absent; 0: no window then
};

/// Experts, and what config.json means where a key is absent.
struct FamilyExperts {
  std::int64_t experts = 0;  ///< 0: the family has dense layers only
  std::int64_t per_token = 0;
  std::int64_t ffn = 0;         ///< `moe_intermediate_size`; 0: there is no such key, and an expert
                                ///< is as wide as `intermediate_size`
  std::int64_t shared_ffn = 0;  ///< `shared_expert_intermediate_size`; 0: no shared expert
  bool normalise_by_key = false;     ///< `norm_topk_prob`, false where absent; else always
  bool dense_layers_by_key = false;  ///< `decoder_sparse_step`, `mlp_only_layers`; else none
};

/// Names of tensors in checkpoints and model directories. Those of layers stand after
/// "model.layers.N."; names of stacked experts have no number.
struct TensorNames {
  std::string_view embedding = "model.embed_tokens.weight";
  std::string_view attention_norm = "input_layernorm.weight";
  std::string_view attention =
      "self_attn.";  ///< then q_proj, k_proj, v_proj, o_proj, q_norm, k_norm
  std::string_view ffn_norm = "post_attention_layernorm.weight";
  std::string_view ffn = "mlp.";  ///< then gate_proj, up_proj, down_proj
  std::string_view router = "mlp.gate.weight";
  std::string_view expert_gate = "mlp.experts.gate_proj.weight";
  std::string_view expert_up = "mlp.experts.up_proj.weight";
  std::string_view expert_down = "mlp.experts.down_proj.weight";
  std::string_view shared = "mlp.shared_expert.";  ///< then gate_proj, up_proj, down_proj
  std::string_view shared_gate = "mlp.shared_expert_gate.weight";
  std::string_view final_norm = "model.norm.weight";
  std::string_view head = "lm_head.weight";
};

/// A decoder family. Each is described in a file of its own in model/config/families.
struct Family {
  std::string_view name;  ///< `model_type` of config.json

  // What config.json means where a key is absent.
  double norm_eps = 1e-6;
  double rope_theta = 10000;
  std::int64_t kv_heads = 0;                  ///< 0: as many as query heads
  std::int64_t head_dim = 0;                  ///< 0: hidden size divided by query heads
  std::optional<TokenId> bos = std::nullopt;  ///< where the vocabulary has it
  std::optional<TokenId> eos = std::nullopt;  ///< likewise

  AttentionBias bias = AttentionBias::by_key;
  bool qk_norm = false;  ///< RMS norms of each head's query and key
  FamilyWindows windows = {};
  FamilyExperts experts = {};
  TensorNames tensors = {};
};

/// All families, by name.
std::span<const Family* const> families();

/// The family with a `model_type`; null where there is none.
const Family* find_family(std::string_view name);

}  // namespace weft
