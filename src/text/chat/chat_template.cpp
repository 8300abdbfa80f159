#include "text/chat/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/chat/chat_date.h"
#include "text/chat/chat_interpreter.h"
#include "text/chat/chat_syntax.h"
#include "text/json_file.h"
#include "text/utf8.h"

namespace weft {
namespace {

using chat::Dict;
using chat::Value;
using nlohmann::json;

constexpr std::size_t max_source = std::size_t{1} << 20;

/// Roles that templates build special tokens of, as in '<|' + role + '|>'.
constexpr std::array<std::string_view, 7> usual_roles = {
    "system", "developer", "user", "assistant", "tool", "function", "ipython"};

Value role_value(const Value& role) {
  const chat::Text* text = role.text();
  const bool usual = text != nullptr && std::find(usual_roles.begin(), usual_roles.end(),
                                                  text->str()) != usual_roles.end();
  return usual ? chat::string_value(text->str()) : role;
}

/// The first of the names under which a message's reasoning comes.
const Value* reasoning_of(const Dict& message) {
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const Value* value = message.find(name);
    if (value != nullptr && !value->is_none()) return value;
  }
  return nullptr;
}

/// What Transformers makes of a message: members that are null are dropped, and reasoning is found
/// under the names that templates look for. `empty_content`: a null content is "" instead.
Dict prepared(const Dict& message, bool empty_content) {
  const Value* reasoning = reasoning_of(message);
  Dict result;
  if (reasoning != nullptr) result.set("thinking", *reasoning, false);
  for (const auto& [key, value] : message.items()) {
    if (key == "role") {
      result.set(key, role_value(value), false);
    } else if (!value.is_none()) {
      result.set(key, value, message.user_keys());
    } else if (key == "content" && empty_content) {
      result.set(key, chat::string_value(""), false);
    }
  }
  if (reasoning != nullptr) result.set("reasoning_content", *reasoning, false);
  return result;
}

bool lacks_content(const Value& message) {
  const Value* content = message.dict()->find("content");
  return content != nullptr && content->is_none();
}

Value prepared_messages(const chat::List& messages, bool empty_content) {
  std::vector<Value> result;
  for (const Value& message : messages.items()) {
    result.push_back(chat::dict_value(prepared(*message.dict(), empty_content)));
  }
  return chat::list_value(std::move(result));
}

const chat::List& checked_messages(const Conversation& conversation) {
  const chat::List* messages = conversation.messages.list();
  if (messages == nullptr) fail_user("messages are no list");
  if (messages->items().empty()) fail_user("there are no messages");
  for (const Value& message : messages->items()) {
    if (message.dict() == nullptr) fail_user("a message is no object");
  }
  return *messages;
}

/// "bos_token" and the like, as tokenizer_config.json and special_tokens_map.json name them.
std::map<std::string, std::string> special_tokens(const json& config) {
  std::map<std::string, std::string> tokens;
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token",
                          "cls_token", "mask_token"}) {
    const json& value = member_or_null(config, key);
    const json& name = value.is_object() ? member_or_null(value, "content") : value;
    if (name.is_string()) tokens[key] = name.get<std::string>();
  }
  return tokens;
}

/// The contents of a file of the directory; null if it is not there.
json contents_of(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored) ? read_json_file(file) : json(nullptr);
}

}  // namespace

struct ChatTemplate::Program {
  chat::Block block;
  bool tools = false;  ///< occurs in the source
};

Value user_text(std::string_view text) {
  std::string storage;
  return chat::string_value(well_formed(text, storage), true);
}

Conversation single_turn(std::string_view prompt, std::optional<std::string_view> system) {
  std::vector<Value> messages;
  const auto add = [&](const char* role, std::string_view content) {
    Dict message;
    message.set("role", chat::string_value(role), false);
    message.set("content", user_text(content), false);
    messages.push_back(chat::dict_value(std::move(message)));
  };
  if (system) add("system", *system);
  add("user", prompt);
  Conversation conversation;
  conversation.messages = chat::list_value(std::move(messages));
  return conversation;
}

ChatTemplate::ChatTemplate(std::string name, std::map<std::string, std::string> variables)
    : name_(std::move(name)), variables_(std::move(variables)) {}

ChatTemplate::ChatTemplate(std::string name, const std::string& source,
                           std::map<std::string, std::string> variables)
    : ChatTemplate(std::move(name), std::move(variables)) {
  add("", source);
}

ChatTemplate::~ChatTemplate() = default;

void ChatTemplate::add(const std::string& name, const std::string& source) {
  const std::string title = name.empty() ? name_ : fmt::format("{} (\"{}\")", name_, name);
  if (source.size() > max_source) {
    fail_user("{}: a chat template of {} bytes; at most {} are supported", title, source.size(),
              max_source);
  }
  std::string storage;
  if (well_formed(source, storage).data() != source.data()) {
    fail_user("{}: the chat template is not UTF-8", title);
  }
  chat::Place place;
  try {
    programs_[name] =
        std::make_unique<const Program>(Program{chat::parse(chat::tokenize(source, place), place),
                                                source.find("tools") != std::string::npos});
  } catch (const chat::Fault& fault) {
    fail_user(
        "{}: line {} of the chat template: {}. Put a chat_template.jinja without it into the model "
        "directory, or write the prompt's text yourself and use /v1/completions",
        title, place.line, fault.what());
  }
}

std::unique_ptr<const ChatTemplate> ChatTemplate::load(const std::filesystem::path& model_dir,
                                                       const Tokenizer& tokenizer) {
  const std::filesystem::path config_file = model_dir / "tokenizer_config.json";
  const std::filesystem::path jinja_file = model_dir / "chat_template.jinja";
  const json config = contents_of(config_file);
  std::map<std::string, std::string> variables;
  const auto name_token = [&](const char* name, std::optional<TokenId> id) {
    if (id) variables[name] = tokenizer.token_bytes(*id);
  };
  name_token("bos_token", tokenizer.bos());
  name_token("eos_token", tokenizer.eos());
  for (const auto& [file, contents] :
       {std::pair(model_dir / "special_tokens_map.json",
                  contents_of(model_dir / "special_tokens_map.json")),
        std::pair(config_file, config)}) {
    if (contents.is_null()) continue;
    for (auto& [name, token] : reading(file, [&] { return special_tokens(contents); })) {
      variables[name] = token;
    }
  }

  std::error_code ignored;
  if (std::filesystem::exists(jinja_file, ignored)) {
    return std::make_unique<const ChatTemplate>(
        jinja_file.string(), read_tokenizer_file(jinja_file), std::move(variables));
  }
  if (config.is_null()) return nullptr;
  return reading(config_file, [&]() -> std::unique_ptr<const ChatTemplate> {
    const json& found = member_or_null(config, "chat_template");
    if (found.is_null()) return nullptr;
    std::unique_ptr<ChatTemplate> result(
        new ChatTemplate("\"chat_template\"", std::move(variables)));
    if (found.is_string()) {
      result->add("", found.get<std::string>());
      return result;
    }
    if (!found.is_array() || found.empty()) {
      fail_user("\"chat_template\" is neither a string nor a list of named templates");
    }
    for (const json& entry : found) {
      result->add(entry.at("name").get<std::string>(), entry.at("template").get<std::string>());
    }
    return result;
  });
}

const ChatTemplate::Program& ChatTemplate::choose(const Conversation& conversation) const {
  for (const char* name : {conversation.tools.is_none() ? "" : "tool_use", "default", ""}) {
    const auto found = programs_.find(name);
    if (found != programs_.end()) return *found->second;
  }
  fail_user("{}: none of the model's chat templates is named \"default\"", name_);
}

chat::Text ChatTemplate::render(const Conversation& conversation) const {
  const chat::List& messages = checked_messages(conversation);
  const Program& program = choose(conversation);
  chat::Context context;
  for (const auto& [name, text] : variables_) context.variables[name] = chat::string_value(text);
  for (const auto& [name, value] : conversation.variables) context.variables[name] = value;
  context.variables["tools"] = conversation.tools;
  context.variables["documents"] = chat::none_value();
  context.variables["add_generation_prompt"] = chat::bool_value(conversation.add_generation_prompt);
  context.today = conversation.today;
  if (context.today && !chat::is_date(*context.today)) {
    fail_user("'{}' is no date of the form YYYY-MM-DD", *context.today);
  }

  const auto attempt = [&](bool empty_content) {
    chat::Place place;
    try {
      context.variables["messages"] = prepared_messages(messages, empty_content);
      return chat::Interpreter(context, place).run(program.block);
    } catch (const chat::Refusal& refusal) {
      throw ConversationRefused(
          fmt::format("the model's chat template refuses this conversation: {}", refusal.what()));
    } catch (const chat::Fault& fault) {
      fail_user("the model's chat template fails at line {}: {}", place.line, fault.what());
    }
  };
  const bool may_retry =
      std::any_of(messages.items().begin(), messages.items().end(), lacks_content);
  if (!may_retry) return attempt(false);
  try {
    return attempt(false);
  } catch (const UserError&) {
    return attempt(true);  // a template that cannot do without a content
  }
}

bool ChatTemplate::asks_for_tools(const Conversation& conversation) const {
  return choose(conversation).tools;
}

std::vector<TokenId> encode_chat(const Tokenizer& tokenizer, const chat::Text& text) {
  return tokenizer.encode(
      text.str(), {.add_special = false, .parse_special = true, .user_ranges = text.user_ranges()});
}

}  // namespace weft
