// Mixtral 8x7B and 8x22B (Transformers: MixtralConfig): Mistral with experts in every layer.
#include "model/config/families/families.h"

namespace weft {

const Family kMixtral = {
    .name = "mixtral",
    .norm_eps = 1e-5,
    .rope_theta = 1e6,
    .kv_heads = 8,
    .bos = 1,
    .eos = 2,
    .bias = AttentionBias::none,
    .windows = {.layers = WindowLayers::all, .window = 0},
    .experts = {.experts = 8, .per_token = 2},
    .tensors = {.router = "block_sparse_moe.gate.weight",
                .expert_gate = "block_sparse_moe.experts.w1.weight",
                .expert_up = "block_sparse_moe.experts.w3.weight",
                .expert_down = "block_sparse_moe.experts.w2.weight"},
};

}  // namespace weft
