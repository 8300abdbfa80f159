// Renders chat templates for scripts/compare_chat.py: a line of JSON in, a line of JSON out.
//
// In: {"template": TEXT, "messages": […], "tools": […] or null, "variables": {…}, "tokens": {…},
// "today": DATE or absent}. Out: {"text": TEXT}, or {"error": MESSAGE}.
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/chat/chat_json.h"
#include "text/chat/chat_template.h"

namespace {

using namespace weft;
using nlohmann::ordered_json;

ordered_json answer(const ordered_json& given) {
  std::map<std::string, std::string> tokens;
  for (const auto& [name, value] : given["tokens"].items()) tokens[name] = value;
  Conversation conversation;
  conversation.messages = chat::value_from_json(given["messages"].dump());
  if (!given["tools"].is_null()) conversation.tools = chat::value_from_json(given["tools"].dump());
  conversation.add_generation_prompt = given.value("add_generation_prompt", true);
  for (const auto& [name, value] : given["variables"].items()) {
    conversation.variables.emplace_back(name, chat::value_from_json(value.dump()));
  }
  if (given.contains("today")) conversation.today = given["today"].get<std::string>();
  static std::string source;  // of the template that was read last
  static std::unique_ptr<const ChatTemplate> chat_template;
  try {
    if (!chat_template || source != given["template"].get<std::string>()) {
      chat_template.reset();
      source = given["template"].get<std::string>();
      chat_template = std::make_unique<const ChatTemplate>("t", source, tokens);
    }
    std::vector<std::string> lost;
    const std::string text = chat_template->render(conversation, &lost).str();
    return {{"text", text}, {"lost", lost}};
  } catch (const UserError& error) {
    return {{"error", error.what()}};
  } catch (const chat::Fault& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(ordered_json::parse(line))
                     .dump(-1, ' ', false, ordered_json::error_handler_t::replace)
              << std::endl;
  }
}
