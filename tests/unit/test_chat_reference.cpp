// Chat templates against what Transformers made of them (scripts/reference_chat.py).
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/error.h"
#include "catch.h"
#include "text/chat/chat_json.h"
#include "text/chat/chat_template.h"

namespace {

using namespace weft;
using nlohmann::ordered_json;

ordered_json reference(const char* name) {
  std::ifstream file(std::filesystem::path(__FILE__).parent_path().parent_path() / "reference" /
                     name);
  REQUIRE(file);
  return ordered_json::parse(file);
}

std::map<std::string, std::string> variables_of(const ordered_json& table) {
  std::map<std::string, std::string> variables;
  for (const auto& [name, value] : table["variables"].items()) variables[name] = value;
  return variables;
}

chat::Value value_of(const ordered_json& json) { return chat::value_from_json(json.dump()); }

/// The rendered text; nothing where the template or this program refuses.
std::optional<std::string> rendered(const ChatTemplate& chat_template,
                                    const Conversation& conversation) {
  try {
    return chat_template.render(conversation).str();
  } catch (const UserError& error) {
    UNSCOPED_INFO(error.what());
    return std::nullopt;
  }
}

std::optional<std::string> expected(const ordered_json& text) {
  if (text.is_null()) return std::nullopt;
  return text.get<std::string>();
}

Conversation conversation_of(const ordered_json& given, const ordered_json& tools) {
  Conversation conversation;
  conversation.messages = value_of(given["messages"]);
  conversation.add_generation_prompt = given["add_generation_prompt"].get<bool>();
  if (given.contains("tools")) {
    ordered_json some = ordered_json::array();
    for (std::size_t i = 0; i < given["tools"].get<std::size_t>(); ++i) some.push_back(tools[i]);
    conversation.tools = value_of(some);
  }
  if (given.contains("variables")) {
    for (const auto& [name, value] : given["variables"].items()) {
      conversation.variables.emplace_back(name, value_of(value));
    }
  }
  return conversation;
}

}  // namespace

TEST_CASE("whole chat templates give what Transformers gives", "[chat]") {
  const ordered_json table = reference("chat_templates.json");
  for (const ordered_json& entry : table["templates"]) {
    const ChatTemplate chat_template(entry["name"].get<std::string>(),
                                     entry["template"].get<std::string>(), variables_of(table));
    for (const ordered_json& given : entry["cases"]) {
      INFO(entry["name"] << ": " << given["messages"].dump());
      CHECK(rendered(chat_template, conversation_of(given, table["tools"])) ==
            expected(given["text"]));
    }
  }
}

TEST_CASE("every construct of a template gives what Jinja gives", "[chat]") {
  const ordered_json table = reference("chat_constructs.json");
  Conversation conversation;
  conversation.messages = value_of(ordered_json::array({table["message"]}));
  conversation.add_generation_prompt = false;
  for (const ordered_json& given : table["cases"]) {
    const auto source = given["source"].get<std::string>();
    INFO(source);
    const ChatTemplate chat_template("construct", source, variables_of(table));
    CHECK(rendered(chat_template, conversation) == expected(given["text"]));
  }
}
