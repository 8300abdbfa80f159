#include "app/requests/chat_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "text/chat/chat_date.h"
#include "text/chat/chat_json.h"

namespace weft {
namespace {

using chat::Value;
using nlohmann::json;

constexpr std::array<std::string_view, 7> kChatParameters = {"messages",
                                                             "tools",
                                                             "max_completion_tokens",
                                                             "add_generation_prompt",
                                                             "chat_template_kwargs",
                                                             "logprobs",
                                                             "top_logprobs"};
constexpr std::array<NeutralParameter, 17> kNeutralInChats = {{
    {"response_format", "{\"type\": \"text\"}"},
    {"add_special_tokens", "false"},
    {"continue_final_message", "false"},
    {"chat_template", "null"},
    {"documents", "null"},
    {"tool_choice", "\"auto\""},
    {"parallel_tool_calls", "true"},
    {"functions", "null"},
    {"function_call", "null"},
    {"reasoning_effort", "null"},
    {"modalities", "[\"text\"]"},
    {"audio", "null"},
    {"prediction", "null"},
    {"store", "false"},
    {"service_tier", "\"auto\""},
    {"verbosity", "null"},
    {"web_search_options", "null"},
}};

/// Variables of a template that have a parameter of their own, or none.
constexpr std::array<std::string_view, 4> kReserved = {"messages", "tools", "documents",
                                                       "add_generation_prompt"};

[[noreturn]] void refuse_message(std::string_view code, std::string message) {
  refuse_parameter("messages", code, std::move(message));
}

void check_part(const Value& part, const std::string& where) {
  const chat::Dict* dict = part.dict();
  const Value* type = dict == nullptr ? nullptr : dict->find("type");
  if (type == nullptr || type->text() == nullptr) {
    refuse_message("invalid_type", fmt::format("{} must be an object with a \"type\"", where));
  }
  if (type->text()->str() != "text") {
    refuse_message("unsupported_value",
                   fmt::format("{} is of type {}; this version supports only \"text\"", where,
                               shown(json(type->text()->str()))));
  }
  const Value* text = dict->find("text");
  if (text == nullptr || text->text() == nullptr) {
    refuse_message("invalid_type", fmt::format("{} must have a string \"text\"", where));
  }
}

void check_message(const Value& message, const std::string& where) {
  const chat::Dict* dict = message.dict();
  if (dict == nullptr) refuse_message("invalid_type", fmt::format("{} must be an object", where));
  const Value* role = dict->find("role");
  if (role == nullptr)
    refuse_message("missing_parameter", fmt::format("{}.role is missing", where));
  if (role->text() == nullptr) {
    refuse_message("invalid_type", fmt::format("{}.role must be a string", where));
  }
  const Value* content = dict->find("content");
  if (content == nullptr || content->is_none() || content->text() != nullptr) return;
  const std::string place = where + ".content";
  if (content->list() == nullptr) {
    refuse_message("invalid_type",
                   fmt::format("{} must be a string or a list of parts of type \"text\"", place));
  }
  const auto& parts = content->list()->items();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    check_part(parts[i], fmt::format("{}[{}]", place, i));
  }
}

Value read_messages(const chat::Dict& body) {
  const Value* messages = body.find("messages");
  if (messages == nullptr || messages->is_none()) {
    refuse_message("missing_parameter", "'messages' is missing");
  }
  if (messages->list() == nullptr) refuse_message("invalid_type", "'messages' must be a list");
  if (messages->list()->items().empty()) refuse_message("invalid_value", "'messages' is empty");
  const auto& all = messages->list()->items();
  for (std::size_t i = 0; i < all.size(); ++i)
    check_message(all[i], fmt::format("messages[{}]", i));
  return *messages;
}

Value read_tools(const chat::Dict& body) {
  const Value* tools = body.find("tools");
  if (tools == nullptr || tools->is_none()) return chat::none_value();
  const auto is_function = [](const Value& tool) {
    return tool.dict() != nullptr && tool.dict()->find("function") != nullptr &&
           tool.dict()->find("function")->dict() != nullptr;
  };
  if (tools->list() == nullptr ||
      !std::all_of(tools->list()->items().begin(), tools->list()->items().end(), is_function)) {
    refuse_parameter("tools", "invalid_type",
                     "'tools' must be a list of objects with an object \"function\"");
  }
  return *tools;
}

void read_variables(const chat::Dict& body, Conversation& conversation) {
  constexpr std::string_view name = "chat_template_kwargs";
  const Value* given = body.find(name);
  if (given == nullptr || given->is_none()) return;
  if (given->dict() == nullptr) {
    refuse_parameter(name, "invalid_type", fmt::format("'{}' must be an object", name));
  }
  for (const chat::Dict::Item& item : given->dict()->items()) {
    const std::string& key = item.key.text()->str();
    const Value& value = item.value;
    if (std::find(kReserved.begin(), kReserved.end(), key) != kReserved.end()) {
      refuse_parameter(name, "invalid_value", fmt::format("'{}' cannot set '{}'", name, key));
    }
    if (key != "strftime_now") {
      conversation.variables.emplace_back(key, value);
      continue;
    }
    if (value.text() == nullptr || !chat::is_date(value.text()->str())) {
      refuse_parameter(name, "invalid_value",
                       fmt::format("'{}.{}' must be a date such as \"2026-01-31\"", name, key));
    }
    conversation.today = value.text()->str();
  }
}

void read_chat_logprobs(const json& body, SamplingParams& sampling) {
  bool wanted = false;
  std::int64_t top = 0;
  read_boolean(body, "logprobs", wanted);
  read_integer(body, "top_logprobs", 0, kMaxLogprobs, top);
  if (wanted) {
    sampling.logprobs = top;
  } else if (top > 0) {
    refuse_parameter("top_logprobs", "invalid_value", "'top_logprobs' needs 'logprobs' to be true");
  }
}

/// "max_completion_tokens" is the newer name of "max_tokens".
std::string_view length_parameter(const json& body) {
  const json* newer = given_parameter(body, "max_completion_tokens");
  const json* older = given_parameter(body, "max_tokens");
  if (newer != nullptr && older != nullptr && *newer != *older) {
    refuse_parameter("max_completion_tokens", "invalid_value",
                     "'max_completion_tokens' and 'max_tokens' differ");
  }
  return newer != nullptr ? "max_completion_tokens" : "max_tokens";
}

}  // namespace

void read_chat_body(const json& body, std::string_view text, const PromptRules& rules,
                    PromptLine& line) {
  check_parameters(body, {kChatParameters, kNeutralInChats});
  read_model_name(body, line);
  Conversation conversation;
  try {
    const Value request = chat::value_from_json(text);
    const chat::Dict& ordered = *request.dict()->find("body")->dict();
    conversation.messages = read_messages(ordered);
    conversation.tools = read_tools(ordered);
    read_variables(ordered, conversation);
  } catch (const chat::Fault& fault) {
    refuse_parameter("messages", "invalid_value", fault.what());
  }
  if (const json* open = given_parameter(body, "add_generation_prompt")) {
    if (!open->is_boolean()) wrong_type("add_generation_prompt", "true or false", *open);
    conversation.add_generation_prompt = open->get<bool>();
  }
  line.prompt = std::move(conversation);
  read_sampling(body, rules, line, length_parameter(body));
  read_chat_logprobs(body, line.sampling);
}

}  // namespace weft
