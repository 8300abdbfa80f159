// Small models for tests of plans.
#pragma once

#include "model/config/config.h"

namespace weft {

/// Two dense layers.
inline ModelConfig small_model() {
  ModelConfig config;
  config.layers = 2;
  config.hidden = 32;
  config.query_heads = 2;
  config.kv_heads = 1;
  config.head_dim = 16;
  config.ffn = 64;
  config.vocab = 256;
  config.max_positions = 64;
  config.windows = {0, 0};
  return config;
}

/// A dense layer, then one with experts and a shared one.
inline ModelConfig model_with_experts() {
  ModelConfig config = small_model();
  config.vocab = 512;
  config.moe.experts = 4;
  config.moe.per_token = 2;
  config.moe.ffn = 32;
  config.moe.shared_ffn = 64;
  config.moe.sparse = {false, true};
  return config;
}

}  // namespace weft
