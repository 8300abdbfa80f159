// The "body" of an OpenAI completions request.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "app/prompts.h"

namespace weft {

/// What is wrong with a request; becomes a PromptError.
struct RequestFault {
  std::string message;
  std::optional<std::string> param;
  std::string code;
};

/// Fills prompt, sampling and model of `line`, whose source is set. Throws RequestFault for every
/// parameter that is not known, not supported, of the wrong type or out of range: none is dropped
/// but "user" and "metadata", which cannot matter to a result.
void read_completion_body(const nlohmann::json& body, const PromptRules& rules, PromptLine& line);

/// A JSON value in a message: at most 60 bytes of it.
std::string shown(const nlohmann::json& value);

}  // namespace weft
