// Llama 2, 3, 3.1 to 3.3 and what took over their layout (Transformers: LlamaConfig).
#include "model/config/families/families.h"

namespace weft {

const Family kLlama = {
    .name = "llama",
    .bos = 1,
    .eos = 2,
};

}  // namespace weft
