// The "body" of an OpenAI completions request.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "app/requests/body_parameters.h"
#include "app/requests/prompts.h"

namespace weft {

/// Fills prompt, sampling and model of `line`, whose source is set. Throws RequestFault for every
/// parameter that is not known, not supported, of the wrong type or out of range.
void read_completion_body(const nlohmann::json& body, const PromptRules& rules, PromptLine& line);

}  // namespace weft
