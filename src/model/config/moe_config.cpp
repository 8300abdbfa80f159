#include "model/config/moe_config.h"

#include <algorithm>

#include "base/error.h"
#include "io/json_number.h"

// The meaning of the keys is that of Transformers' MixtralConfig, Qwen2MoeConfig and
// Qwen3MoeConfig. Keys that matter in training alone (router_jitter_noise, router_aux_loss_coef)
// are not looked at.

namespace weft {
namespace {

using nlohmann::json;

// With these, the number of elements of all experts of all layers stays below 2^60.
constexpr std::int64_t kExpertCap = 1 << 10;
constexpr std::int64_t kExpertFfnCap = 1 << 16;

/// `num_local_experts` and `num_experts` are two names of one thing.
std::int64_t parse_experts(const JsonFields& fields, std::int64_t absent) {
  const std::int64_t local = fields.integer_or("num_local_experts", 0, 1, kExpertCap);
  const std::int64_t plain = fields.integer_or("num_experts", 0, 1, kExpertCap);
  if (local > 0 && plain > 0 && local != plain) {
    fields.refuse("num_experts", fmt::format("num_local_experts is {}", local));
  }
  return std::max({local, plain, local + plain == 0 ? absent : 0});
}

/// Layers that `mlp_only_layers` makes dense.
std::vector<bool> parse_dense_layers(const JsonFields& fields, std::int64_t layers) {
  std::vector<bool> dense(static_cast<std::size_t>(layers), false);
  if (!fields.has("mlp_only_layers")) return dense;
  const json& list = fields.at("mlp_only_layers");
  if (!list.is_array()) fields.refuse("mlp_only_layers", "must be a list of layers");
  for (const json& item : list) {
    const std::optional<std::int64_t> layer = whole_number(item);
    if (!layer || *layer < 0) {
      fields.refuse("mlp_only_layers", "must be a list of layers, counted from 0");
    }
    if (*layer < layers) dense[static_cast<std::size_t>(*layer)] = true;
  }
  return dense;
}

void parse_sparse_layers(const JsonFields& fields, const ModelConfig& config, MoeConfig& moe) {
  if (!config.family->experts.dense_layers_by_key) {
    moe.sparse.assign(static_cast<std::size_t>(config.layers), true);
    return;
  }
  const std::int64_t step = fields.integer_or("decoder_sparse_step", 1, 1, 1 << 20);
  const std::vector<bool> dense = parse_dense_layers(fields, config.layers);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    moe.sparse.push_back((layer + 1) % step == 0 && !dense[static_cast<std::size_t>(layer)]);
  }
}

}  // namespace

MoeConfig parse_moe(const JsonFields& fields, const ModelConfig& config) {
  const FamilyExperts& family = config.family->experts;
  MoeConfig moe;
  if (family.experts == 0) return moe;
  moe.experts = parse_experts(fields, family.experts);
  moe.per_token = fields.integer_or("num_experts_per_tok", family.per_token, 1, moe.experts);
  if (moe.per_token > moe.experts) {
    fail_user("{}: num_experts_per_tok = {}, but there are {} experts", fields.where(),
              moe.per_token, moe.experts);
  }
  moe.ffn = family.ffn == 0
                ? config.ffn
                : fields.integer_or("moe_intermediate_size", family.ffn, 1, kExpertFfnCap);
  if (moe.ffn > kExpertFfnCap) {
    fields.refuse("intermediate_size", fmt::format("experts may be {} wide", kExpertFfnCap));
  }
  if (family.shared_ffn > 0) {
    moe.shared_ffn =
        fields.integer_or("shared_expert_intermediate_size", family.shared_ffn, 1, kExpertFfnCap);
  }
  moe.normalise = !family.normalise_by_key || fields.boolean_or("norm_topk_prob", false);
  parse_sparse_layers(fields, config, moe);
  return moe;
}

}  // namespace weft
