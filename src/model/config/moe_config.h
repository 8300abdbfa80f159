// The experts' part of a Hugging Face config.json.
#pragma once

#include "model/config/config.h"
#include "model/config/json_fields.h"

namespace weft {

/// Reads the experts of a model whose family, layers and ffn width are known; empty where the
/// family has none. Throws UserError for what is out of range.
MoeConfig parse_moe(const JsonFields& fields, const ModelConfig& config);

}  // namespace weft
