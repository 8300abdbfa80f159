// Qwen 1.5, 2, 2.5 and QwQ (Transformers: Qwen2Config): biases on queries, keys and values.
#include "model/config/families/families.h"

namespace weft {

const Family kQwen2 = {
    .name = "qwen2",
    .kv_heads = 32,
    .bias = AttentionBias::qkv,
    .windows = {.layers = WindowLayers::from_edge, .switched = true},
};

}  // namespace weft
