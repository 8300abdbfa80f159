#include "text/chat/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/chat/chat_date.h"
#include "text/chat/chat_interpreter.h"
#include "text/chat/chat_messages.h"
#include "text/chat/chat_syntax.h"
#include "text/json_file.h"
#include "text/utf8.h"

namespace weft {
namespace {

using chat::Dict;
using chat::Value;
using nlohmann::json;

constexpr std::size_t max_source = std::size_t{1} << 20;
constexpr std::string_view additional_templates_dir = "additional_chat_templates";

/// Steps that trying a template on a small conversation may take.
constexpr std::size_t trial_steps = 200'000;

bool lacks_content(const Value& message) {
  const Value* content = message.dict()->find("content");
  return content != nullptr && content->is_none();
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
  chat::Habits habits;
  std::optional<std::string> fault;  ///< what all trials failed with

  /// What the template writes for prepared messages. Fault as Interpreter::run.
  [[nodiscard]] chat::Text run(const std::map<std::string, std::string>& special_tokens,
                               const Conversation& conversation, const chat::Prepared& prepared,
                               chat::Place& place, std::size_t max_steps) const {
    chat::Context context;
    for (const auto& [name, text] : special_tokens) {
      context.variables[name] = chat::string_value(text);
    }
    for (const auto& [name, value] : conversation.variables) context.variables[name] = value;
    context.variables["messages"] = prepared.messages;
    context.variables["tools"] = prepared.tools;
    context.variables["documents"] = chat::none_value();
    context.variables["add_generation_prompt"] =
        chat::bool_value(conversation.add_generation_prompt);
    context.today = conversation.today;
    return chat::Interpreter(context, place, max_steps).run(block);
  }
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
  const bool can_be_chosen = name.empty() || name == "default" || name == "tool_use";
  if (!can_be_chosen) {  // then nothing in it matters
    programs_[name] = std::make_unique<const Program>();
    return;
  }
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
  auto program = std::make_unique<Program>();
  try {
    program->block = chat::parse(chat::tokenize(source, place), place);
  } catch (const chat::Fault& fault) {
    fail_user(
        "{}: line {} of the chat template: {}. Put a chat_template.jinja without it into the model "
        "directory, or write the prompt's text yourself and use /v1/completions",
        title, place.line, fault.what());
  }
  program->tools = source.find("tools") != std::string::npos;
  bool any_success = false;
  const auto trial = [&](const Value& messages, const Value& tools) -> std::optional<std::string> {
    Conversation conversation;
    conversation.today = "2026-01-01";
    try {
      const chat::Prepared prepared = chat::prepare_plainly(messages, tools);
      std::string text = program->run(variables_, conversation, prepared, place, trial_steps).str();
      any_success = true;
      return text;
    } catch (const chat::Refusal&) {
      any_success = true;  // an answer, too
    } catch (const chat::Fault& fault) {
      if (!program->fault) {
        program->fault =
            fmt::format("{}: line {} of the chat template: {}", title, place.line, fault.what());
      }
    }
    return std::nullopt;
  };
  program->habits = chat::habits_of(trial, source);
  if (any_success) program->fault.reset();
  programs_[name] = std::move(program);
}

std::optional<std::string> ChatTemplate::fault() const {
  for (const auto& [name, program] : programs_) {
    if (!program->fault) return std::nullopt;
  }
  return programs_.empty() ? std::nullopt : programs_.begin()->second->fault;
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
  const auto take_names = [&](const std::filesystem::path& file, const json& contents) {
    if (contents.is_null()) return;
    for (auto& [name, token] : reading(file, [&] { return special_tokens(contents); })) {
      variables[name] = token;
    }
  };
  take_names(model_dir / "special_tokens_map.json",
             contents_of(model_dir / "special_tokens_map.json"));
  take_names(config_file, config);

  std::unique_ptr<ChatTemplate> result(new ChatTemplate("\"chat_template\"", std::move(variables)));
  std::error_code ignored;
  if (std::filesystem::exists(jinja_file, ignored)) {
    result->name_ = jinja_file.string();
    result->add("", read_tokenizer_file(jinja_file));
  } else if (!config.is_null()) {
    reading(config_file, [&] { result->add_from(member_or_null(config, "chat_template")); });
  }
  for (const std::string& file : additional_chat_templates(model_dir)) {
    if (result->programs_.empty()) result->name_ = (model_dir / additional_templates_dir).string();
    const std::filesystem::path path = model_dir / file;
    result->add(path.stem().string(), read_tokenizer_file(path));
  }
  if (result->programs_.empty()) return nullptr;
  return result;
}

void ChatTemplate::add_from(const nlohmann::json& found) {
  if (found.is_null()) return;
  if (found.is_string()) return add("", found.get<std::string>());
  if (!found.is_array() || found.empty()) {
    fail_user("\"chat_template\" is neither a string nor a list of named templates");
  }
  for (const json& entry : found) {
    add(entry.at("name").get<std::string>(), entry.at("template").get<std::string>());
  }
}

std::vector<std::string> additional_chat_templates(const std::filesystem::path& model_dir) {
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator file(model_dir / additional_templates_dir, error), end;
       !error && file != end; file.increment(error)) {
    if (file->path().extension() == ".jinja") {
      files.push_back(std::string(additional_templates_dir) + "/" +
                      file->path().filename().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

const ChatTemplate::Program& ChatTemplate::choose(const Conversation& conversation) const {
  for (const char* name : {conversation.tools.is_none() ? "" : "tool_use", "default", ""}) {
    const auto found = programs_.find(name);
    if (found != programs_.end()) return *found->second;
  }
  fail_user("{}: none of the model's chat templates is named \"default\"", name_);
}

chat::Text ChatTemplate::render(const Conversation& conversation,
                                std::vector<std::string>* lost) const {
  const chat::List& messages = checked_messages(conversation);
  const Program& program = choose(conversation);
  if (conversation.today && !chat::is_date(*conversation.today)) {
    fail_user("'{}' is no date of the form YYYY-MM-DD", *conversation.today);
  }
  const auto prepared = [&](bool empty_content) {
    try {
      return chat::prepare(conversation.messages, conversation.tools, program.habits,
                           empty_content);
    } catch (const chat::Fault& fault) {
      fail_user("{}", fault.what());
    }
  };
  const auto attempt = [&](bool empty_content) {
    const chat::Prepared given = prepared(empty_content);
    chat::Place place;
    try {
      chat::Text text = program.run(variables_, conversation, given, place, chat::max_steps);
      if (lost != nullptr) *lost = chat::lost_parts(given, text);
      return text;
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
