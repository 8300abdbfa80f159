// Qwen1.5-MoE and Qwen2-57B-A14B (Transformers: Qwen2MoeConfig): Qwen2 with experts, one of which
// is shared by all tokens.
#include "model/config/families/families.h"

namespace weft {

const Family kQwen2Moe = {
    .name = "qwen2_moe",
    .kv_heads = 16,
    .bias = AttentionBias::qkv_by_key,
    .windows = {.layers = WindowLayers::every_second, .switched = true},
    .experts = {.experts = 60,
                .per_token = 4,
                .ffn = 1408,
                .shared_ffn = 5632,
                .normalise_by_key = true,
                .dense_layers_by_key = true},
};

}  // namespace weft
