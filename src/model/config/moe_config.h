// The experts' part of a Hugging Face config.json.
#pragma once

#include "model/config/config.h"
#include "model/config/json_fields.h"

namespace weft {

/// Reads the experts of a mixtral, qwen2_moe or qwen3_moe model whose architecture, layers and ffn
/// width are known; empty for other architectures. Throws UserError for what is out of range.
MoeConfig parse_moe(const JsonFields& fields, const ModelConfig& config);

}  // namespace weft
