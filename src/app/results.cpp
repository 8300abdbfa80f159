#include "app/results.h"

#include <nlohmann/json.hpp>
#include <string>

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

/// The envelope of a row, with its keys in order.
ordered_json row_of(const PromptSource& source, int status, ordered_json body, ordered_json error) {
  const std::string id = id_of(source);
  return {{"id", "weft-" + id},
          {"custom_id", optional_text(source.custom_id)},
          {"response",
           {{"status_code", status}, {"request_id", "req-" + id}, {"body", std::move(body)}}},
          {"error", std::move(error)}};
}

/// One line; what is not UTF-8 (from a damaged request) becomes U+FFFD.
std::string line_of(const ordered_json& row) {
  return row.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

std::string completion_row(const PromptLine& prompt, const Completion& completion,
                           std::string_view text, bool digest) {
  const bool chat = std::holds_alternative<Conversation>(prompt.prompt);
  ordered_json choice = {{"index", 0}};
  if (chat) {
    choice["message"] = {{"role", "assistant"}, {"content", text}};
  } else {
    choice["text"] = text;
  }
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = name(completion.reason);
  const ordered_json usage = {
      {"prompt_tokens", completion.prompt_tokens},
      {"completion_tokens", completion.completion_tokens},
      {"total_tokens", completion.prompt_tokens + completion.completion_tokens}};
  ordered_json body = {{"id", (chat ? "chatcmpl-" : "cmpl-") + id_of(prompt.source)},
                       {"object", chat ? "chat.completion" : "text_completion"},
                       {"created", 0},
                       {"model", prompt.model.empty() ? std::string(kNoModel) : prompt.model},
                       {"choices", ordered_json::array({choice})},
                       {"usage", usage}};
  ordered_json row = row_of(prompt.source, 200, std::move(body), nullptr);
  if (digest) {
    row["weft"] = {{"logits_digest", completion.logits_digest.hex()},
                   {"tokens", completion.tokens}};
  }
  return line_of(row);
}

std::string error_row(const PromptError& error) {
  return line_of(row_of(error.source, 400, nullptr,
                        {{"message", error.message},
                         {"type", error.type},
                         {"param", optional_text(error.param)},
                         {"code", error.code}}));
}

}  // namespace weft
