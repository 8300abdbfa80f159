#include "app/requests/completion_body.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>

namespace weft {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 4> kCompletionParameters = {"prompt", "echo", "logprobs",
                                                                   "add_special_tokens"};
constexpr std::size_t kMaxPrompts = 2048;
/// Of all prompts together: they become one row.
constexpr std::int64_t kMaxCompletions = 4096;

constexpr std::array<NeutralParameter, 2> kNeutralInCompletions = {{
    {"suffix", "\"\""},
    {"response_format", "null"},
}};

PromptArray several_prompts(const json& list, const PromptRules& rules) {
  if (list.size() > kMaxPrompts) {
    refuse_parameter(
        "prompt", "invalid_value",
        fmt::format("'prompt' has {} prompts, at most {} are allowed", list.size(), kMaxPrompts));
  }
  PromptArray prompts;
  for (const json& item : list) {
    if (item.is_string() && list.front().is_string()) {
      prompts.emplace_back(item.get<std::string>());
    } else if (item.is_array() && list.front().is_array()) {
      prompts.emplace_back(token_ids("prompt", item, rules.vocab));
    } else {
      wrong_type("prompt", "a list of strings, or a list of lists of token ids", item);
    }
  }
  return prompts;
}

void read_prompt(const json& body, const PromptRules& rules, PromptLine& line) {
  const json* prompt = given_parameter(body, "prompt");
  if (prompt == nullptr) refuse_parameter("prompt", "missing_parameter", "'prompt' is missing");
  if (prompt->is_string()) {
    line.prompt = prompt->get<std::string>();
    return;
  }
  if (!prompt->is_array()) {
    wrong_type("prompt", "a string, a list of token ids, or a list of several such", *prompt);
  }
  if (prompt->empty()) refuse_parameter("prompt", "invalid_value", "'prompt' is an empty list");
  if (prompt->front().is_string() || prompt->front().is_array()) {
    line.prompt = several_prompts(*prompt, rules);
  } else {
    line.prompt = token_ids("prompt", *prompt, rules.vocab);
  }
}

void check_completions(const PromptLine& line) {
  const auto* several = std::get_if<PromptArray>(&line.prompt);
  const auto prompts = several == nullptr ? 1 : static_cast<std::int64_t>(several->size());
  if (prompts * line.choices > kMaxCompletions) {
    refuse_parameter("n", "invalid_value",
                     fmt::format("'n' is {} for {} prompts: {} completions, at most {} are allowed "
                                 "in one request",
                                 line.choices, prompts, prompts * line.choices, kMaxCompletions));
  }
}

void read_completion_logprobs(const json& body, SamplingParams& sampling) {
  if (given_parameter(body, "logprobs") == nullptr) return;
  std::int64_t top = 0;
  read_integer(body, "logprobs", 0, kMaxLogprobs, top);
  sampling.logprobs = top;
}

}  // namespace

void read_completion_body(const json& body, const PromptRules& rules, PromptLine& line) {
  check_parameters(body, {kCompletionParameters, kNeutralInCompletions});
  read_model_name(body, line);
  read_prompt(body, rules, line);
  read_boolean(body, "echo", line.echo);
  read_boolean(body, "add_special_tokens", line.add_special);
  read_sampling(body, rules, line);
  check_completions(line);
  read_completion_logprobs(body, line.sampling);
}

}  // namespace weft
