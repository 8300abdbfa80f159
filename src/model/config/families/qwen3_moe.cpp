// Qwen3-30B-A3B, Qwen3-235B-A22B and Qwen3-Coder (Transformers: Qwen3MoeConfig): Qwen3 with
// experts.
#include "model/config/families/families.h"

namespace weft {

const Family kQwen3Moe = {
    .name = "qwen3_moe",
    .kv_heads = 4,
    .qk_norm = true,
    .windows = {.layers = WindowLayers::all, .switched = true},
    .experts = {.experts = 128,
                .per_token = 8,
                .ffn = 768,
                .normalise_by_key = true,
                .dense_layers_by_key = true},
};

}  // namespace weft
