#include "app/output/results.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "app/output/logprobs_json.h"
#include "app/requests/body_parameters.h"
#include "base/digest.h"
#include "base/error.h"

namespace weft {
namespace {

using nlohmann::ordered_json;

/// What stands for the model when a request names none.
constexpr std::string_view kNoModel = "weft";

/// 32 hexadecimal digits that belong to this request: the same on every run.
std::string id_of(const PromptSource& source) {
  return digest_of(fmt::format("{}\n{}", source.index, source.custom_id.value_or(""))).hex();
}

ordered_json optional_text(const std::optional<std::string>& text) {
  return text ? ordered_json(*text) : ordered_json(nullptr);
}

/// The name of a request: a string for strict readers, also of a line that brings none.
std::string name_of(const PromptSource& source) {
  return source.custom_id.value_or(fmt::format("line-{}", source.line));
}

/// The envelope of a row, with its keys in order.
ordered_json row_of(const PromptSource& source, int status, ordered_json body, ordered_json error) {
  const std::string id = id_of(source);
  return {{"id", "weft-" + id},
          {"custom_id", name_of(source)},
          {"response",
           {{"status_code", status}, {"request_id", "req-" + id}, {"body", std::move(body)}}},
          {"error", std::move(error)}};
}

/// One line; what is not UTF-8 (from a damaged request) becomes U+FFFD.
std::string line_of(const ordered_json& row) {
  return row.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

/// The prompt as text: as it was given, or decoded from ids.
std::string prompt_text(const PromptLine& prompt, const Completion& completion,
                        const RowOptions& options) {
  if (const auto* text = std::get_if<std::string>(&prompt.prompt)) return *text;
  if (const auto* several = std::get_if<PromptArray>(&prompt.prompt)) {
    const auto number = static_cast<std::size_t>(completion.choice / prompt.choices);
    if (const auto* text = std::get_if<std::string>(&several->at(number))) return *text;
  }
  if (options.tokenizer == nullptr) return {};
  return options.tokenizer->decode(completion.prompt);
}

/// The decoded completion, cut at a stop string.
std::string answer_text(const Completion& completion, const RowOptions& options) {
  if (options.tokenizer == nullptr) return {};
  std::string text = options.tokenizer->decode(completion.tokens, kCompletionText);
  if (completion.text_bytes >= 0) text.resize(static_cast<std::size_t>(completion.text_bytes));
  return text;
}

ordered_json choice_of(const PromptLine& prompt, const Completion& completion,
                       const RowOptions& options) {
  const bool chat = std::holds_alternative<Conversation>(prompt.prompt);
  std::string text = answer_text(completion, options);
  ordered_json choice = {{"index", completion.choice}};
  if (chat) {
    choice["message"] = {{"role", "assistant"}, {"content", std::move(text)}};
  } else {
    choice["text"] = prompt.echo ? prompt_text(prompt, completion, options) + text : text;
  }
  choice["logprobs"] = nullptr;
  if (prompt.sampling.logprobs) {
    choice["logprobs"] = chat ? chat_logprobs(completion, options.tokenizer)
                              : completion_logprobs(completion, options.tokenizer);
  }
  choice["finish_reason"] = name(completion.reason);
  return choice;
}

ordered_json usage_of(const PromptLine& prompt, std::span<const Completion> completions) {
  std::int64_t in = 0;
  std::int64_t out = 0;
  for (const Completion& completion : completions) {
    if (counts_prompt(prompt, completion)) in += completion.prompt_tokens;
    out += completion.completion_tokens;
  }
  return {{"prompt_tokens", in}, {"completion_tokens", out}, {"total_tokens", in + out}};
}

/// By index of their choices.
std::vector<const Completion*> sorted(std::span<const Completion> completions) {
  std::vector<const Completion*> all;
  for (const Completion& completion : completions) all.push_back(&completion);
  std::sort(all.begin(), all.end(),
            [](const Completion* a, const Completion* b) { return a->choice < b->choice; });
  return all;
}

ordered_json receipt_of(std::span<const Completion* const> completions) {
  ordered_json all = ordered_json::array();
  for (const Completion* completion : completions) {
    all.push_back(
        {{"logits_digest", completion->logits_digest.hex()}, {"tokens", completion->tokens}});
  }
  if (all.size() == 1) return all[0];
  return {{"choices", std::move(all)}};
}

/// No answer was computed where logits are NaN or infinite.
void refuse_non_finite(std::span<const Completion* const> completions) {
  for (const Completion* completion : completions) {
    if (completion->reason != FinishReason::non_finite) continue;
    throw RequestFault{
        fmt::format("the logits of token {} (of the prompt and the answer, from 0) are NaN or "
                    "infinite: the model's numbers overflow, or its weights are damaged",
                    completion->non_finite_at),
        std::nullopt, std::string(kNonFiniteLogits)};
  }
}

}  // namespace

bool counts_prompt(const PromptLine& prompt, const Completion& completion) {
  return completion.choice % prompt.choices == 0;
}

std::string completion_row(const PromptLine& prompt, std::span<const Completion> completions,
                           const RowOptions& options) {
  const auto check_length = [&](std::size_t bytes) {
    if (bytes <= options.longest) return;
    throw RequestFault{
        fmt::format("the answer is longer than {} bytes: ask for less in one request "
                    "(prompts, n, logprobs, echo)",
                    options.longest),
        std::nullopt, "response_too_large"};
  };
  const std::vector<const Completion*> in_order = sorted(completions);
  refuse_non_finite(in_order);
  const bool chat = std::holds_alternative<Conversation>(prompt.prompt);
  // As text one by one: the objects of a long answer take many times the room of its text.
  std::string choices;
  for (const Completion* completion : in_order) {
    if (!choices.empty()) choices += ',';
    choices += line_of(choice_of(prompt, *completion, options));
    check_length(choices.size());
  }
  ordered_json body = {{"id", (chat ? "chatcmpl-" : "cmpl-") + id_of(prompt.source)},
                       {"object", chat ? "chat.completion" : "text_completion"},
                       {"created", options.created},
                       {"model", prompt.model.empty() ? std::string(kNoModel) : prompt.model},
                       {"choices", ordered_json::array()},
                       {"usage", usage_of(prompt, completions)}};
  ordered_json row = row_of(prompt.source, 200, std::move(body), nullptr);
  if (options.digest) row["weft"] = receipt_of(in_order);
  std::string line = line_of(row);
  check_length(line.size() + choices.size());
  // Within a string the quotes would be escaped: there is no other such place.
  constexpr std::string_view empty = "\"choices\":[]";
  line.insert(line.find(empty) + empty.size() - 1, choices);
  return line;
}

std::string error_row(const PromptError& error) {
  return line_of(row_of(error.source, error.type == kServerError ? 500 : 400, nullptr,
                        {{"message", error.message},
                         {"type", error.type},
                         {"param", optional_text(error.param)},
                         {"code", error.code}}));
}

}  // namespace weft
