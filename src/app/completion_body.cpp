#include "app/completion_body.h"

#include <array>
#include <nlohmann/json.hpp>

namespace weft {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 1> kHonoured = {"prompt"};
constexpr std::array<NeutralParameter, 4> kNeutral = {{
    {"logprobs", "null"},
    {"suffix", "\"\""},
    {"response_format", "null"},
    {"add_special_tokens", "true"},
}};

void read_prompt(const json& body, const PromptRules& rules, PromptLine& line) {
  const json* prompt = given_parameter(body, "prompt");
  if (prompt == nullptr) refuse_parameter("prompt", "missing_parameter", "'prompt' is missing");
  if (prompt->is_string()) {
    line.prompt = prompt->get<std::string>();
    return;
  }
  if (!prompt->is_array()) wrong_type("prompt", "a string or a list of token ids", *prompt);
  if (prompt->empty()) refuse_parameter("prompt", "invalid_value", "'prompt' is an empty list");
  if (prompt->front().is_string() || prompt->front().is_array()) {
    refuse_parameter(
        "prompt", "unsupported_value",
        "'prompt' is a list of several prompts, which this version does not support: give each "
        "a line of its own");
  }
  line.prompt = token_ids("prompt", *prompt, rules.vocab);
}

}  // namespace

void read_completion_body(const json& body, const PromptRules& rules, PromptLine& line) {
  check_parameters(body, {kHonoured, kNeutral});
  read_model_name(body, line);
  read_prompt(body, rules, line);
  read_sampling(body, rules, line);
}

}  // namespace weft
