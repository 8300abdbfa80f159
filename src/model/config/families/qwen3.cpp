// Qwen3 dense models (Transformers: Qwen3Config): norms of queries and keys.
#include "model/config/families/families.h"

namespace weft {

const Family kQwen3 = {
    .name = "qwen3",
    .kv_heads = 32,
    .head_dim = 128,
    .qk_norm = true,
    .windows = {.layers = WindowLayers::from_edge, .switched = true},
};

}  // namespace weft
