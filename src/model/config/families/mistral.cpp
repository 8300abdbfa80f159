// Mistral 7B and Nemo (Transformers: MistralConfig): all layers have the same sliding window.
#include "model/config/families/families.h"

namespace weft {

const Family kMistral = {
    .name = "mistral",
    .kv_heads = 8,
    .bos = 1,
    .eos = 2,
    .bias = AttentionBias::none,
    .windows = {.layers = WindowLayers::all},
};

}  // namespace weft
