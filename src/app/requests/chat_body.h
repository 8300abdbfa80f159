// The "body" of an OpenAI chat completions request.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "app/requests/body_parameters.h"
#include "app/requests/prompts.h"

namespace weft {

/// Fills conversation, sampling and model of `line`, whose source is set. `text` is the line of
/// the prompt file that `body` is a member of: templates see members in the order in which they
/// are written. Throws RequestFault for everything that is not supported.
void read_chat_body(const nlohmann::json& body, std::string_view text, const PromptRules& rules,
                    PromptLine& line);

}  // namespace weft
