// What a template does with messages, found by rendering small conversations.
#include <algorithm>
#include <initializer_list>
#include <utility>

#include "text/chat/chat_json.h"
#include "text/chat/chat_messages.h"

namespace weft::chat {
namespace {

constexpr std::string_view first_needle = "weftOne";
constexpr std::string_view second_needle = "weftTwo";
constexpr std::string_view arguments_text = R"({"weftKey": "weftValue"})";

bool has(std::string_view text, std::string_view wanted) {
  return text.find(wanted) != std::string_view::npos;
}

Value message(std::string_view role, Value content) {
  Dict result;
  result.set("role", string_value(role), false);
  result.set("content", std::move(content), false);
  return dict_value(std::move(result));
}

Value parts(std::initializer_list<std::string_view> texts) {
  std::vector<Value> result;
  for (const std::string_view text : texts) {
    Dict part;
    part.set("type", string_value("text"), false);
    part.set("text", string_value(text), false);
    result.push_back(dict_value(std::move(part)));
  }
  return list_value(std::move(result));
}

Value example_tools() {
  return value_from_json(
      R"([{"type":"function","function":{"name":"weft_tool","description":"d","parameters":)"
      R"({"type":"object","properties":{"weftKey":{"type":"string","description":"d"}},)"
      R"("required":["weftKey"]}}}])");
}

/// An assistant's turn that calls a tool; `content` may be nothing.
Value calling(const Value& arguments, const std::optional<Value>& content) {
  Dict function;
  function.set("name", string_value("weft_tool"), false);
  function.set("arguments", arguments, false);
  Dict call;
  call.set("id", string_value("weft00001"), false);
  call.set("type", string_value("function"), false);
  call.set("function", dict_value(std::move(function)), false);
  Dict result;
  result.set("role", string_value("assistant"), false);
  if (content) result.set("content", *content, false);
  result.set("tool_calls", list_value({dict_value(std::move(call))}), false);
  return dict_value(std::move(result));
}

Value answer(Value content) {
  Dict result = *message("tool", std::move(content)).dict();
  result.set("tool_call_id", string_value("weft00001"), false);
  result.set("name", string_value("weft_tool"), false);
  return dict_value(std::move(result));
}

class Prober {
 public:
  Prober(const Trial& trial, std::string_view source) : trial_(trial), tools_(example_tools()) {
    habits_.knows_developer = has(source, "developer");
  }

  Habits run() {
    for (const char* role : {"user", "system", "assistant"}) probe_content(role);
    probe_arguments();
    probe_content("tool");
    return std::move(habits_);
  }

 private:
  /// Text that has nothing to say, in a form that users' messages may have.
  Value filler() const {
    const auto user = habits_.content.find("user");
    const bool in_parts = user != habits_.content.end() && !user->second.text &&
                          (user->second.parts || user->second.one_part);
    return in_parts ? parts({"q"}) : string_value("q");
  }

  std::vector<Value> with_role(std::string_view role, Value content) const {
    const Value user = message("user", filler());
    if (role == "user") return {message(role, std::move(content))};
    if (role == "system") return {message(role, std::move(content)), user};
    if (role == "assistant") return {user, message(role, std::move(content)), user};
    const bool as_object = habits_.arguments_as_object;
    const Value arguments =
        as_object ? value_from_json(arguments_text) : string_value(arguments_text);
    return {user, calling(arguments, string_value("")), answer(std::move(content))};
  }

  std::optional<std::string> tried(std::vector<Value> messages, bool with_tools) const {
    return trial_(list_value(std::move(messages)), with_tools ? tools_ : none_value());
  }

  /// Does the template write out both needles, and nothing of what is around them in a list?
  bool writes(std::string_view role, const Value& content, bool both) const {
    for (const bool with_tools : {false, true}) {
      const auto text = tried(with_role(role, content), with_tools);
      if (!text) continue;
      const std::size_t first = text->find(first_needle);
      const std::size_t second = both ? text->find(second_needle) : first;
      if (first == std::string::npos || second == std::string::npos) continue;
      const std::size_t from = both ? first : first - std::min<std::size_t>(first, 12);
      return second >= first &&
             !has(std::string_view(*text).substr(from, std::max(first, second) - from), "text");
    }
    return false;
  }

  void probe_content(const std::string& role) {
    const std::string whole = std::string(first_needle) + " " + std::string(second_needle);
    ContentForms forms;
    forms.text = writes(role, string_value(whole), true);
    forms.parts = writes(role, parts({first_needle, second_needle}), true);
    forms.one_part = writes(role, parts({first_needle}), false);
    if (forms.text || forms.parts || forms.one_part) habits_.content[role] = forms;
  }

  void probe_arguments() {
    const Value user = message("user", filler());
    const Value result = answer(filler());
    const std::vector<std::optional<Value>> contents = {string_value(""), std::nullopt,
                                                        none_value(), string_value("c")};
    const auto is_found = [&](const Value& arguments, auto is_evidence) {
      for (const auto& content : contents) {
        for (const bool with_tools : {true, false}) {
          for (const bool goes_on : {true, false}) {
            std::vector<Value> messages = {user, calling(arguments, content)};
            if (goes_on) messages.push_back(result);
            const auto text = tried(std::move(messages), with_tools);
            if (text && is_evidence(*text)) return true;
          }
        }
      }
      return false;
    };
    habits_.arguments_as_text = is_found(string_value(arguments_text), [](std::string_view text) {
      return has(text, arguments_text);
    });
    habits_.arguments_as_object = is_found(
        value_from_json(arguments_text),
        [](std::string_view text) { return has(text, "weftKey") && has(text, "weftValue"); });
  }

  const Trial& trial_;
  Value tools_;
  Habits habits_;
};

}  // namespace

Habits habits_of(const Trial& trial, std::string_view source) {
  return Prober(trial, source).run();
}

}  // namespace weft::chat
