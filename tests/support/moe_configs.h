// Small models with experts.
#pragma once

#include <vector>

#include "support/replica.h"

namespace weft::test {

struct MoeCase {
  std::string name;
  nlohmann::json config;
  DType dtype;
};

/// Two and eight experts a token, with and without renormalisation, dense layers between, a shared
/// expert, sliding windows; widths in four uneven segments.
inline std::vector<MoeCase> moe_cases() {
  nlohmann::json two = tiny_config("qwen3_moe");
  two.update({{"num_experts", 8},
              {"num_experts_per_tok", 2},
              {"moe_intermediate_size", 84},
              {"norm_topk_prob", true}});
  nlohmann::json eight = tiny_config("qwen3_moe");
  eight.update({{"num_experts", 16},
                {"num_experts_per_tok", 8},
                {"moe_intermediate_size", 100},
                {"num_hidden_layers", 3},
                {"mlp_only_layers", {1}},
                {"num_key_value_heads", 1},
                {"tie_word_embeddings", true}});
  nlohmann::json mixtral = tiny_config("mixtral");
  mixtral.update({{"num_local_experts", 9}, {"intermediate_size", 72}, {"sliding_window", 100}});
  nlohmann::json shared = tiny_config("qwen2_moe");
  shared.update({{"num_experts", 8},
                 {"num_experts_per_tok", 3},
                 {"moe_intermediate_size", 64},
                 {"shared_expert_intermediate_size", 132}});
  return {{"qwen3_moe top 2 bf16", two, DType::bf16},
          {"qwen3_moe top 8 f32", eight, DType::f32},
          {"mixtral bf16", mixtral, DType::bf16},
          {"qwen2_moe bf16", shared, DType::bf16}};
}

}  // namespace weft::test
