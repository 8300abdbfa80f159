#include "text/chat/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "text/chat/chat_json.h"
#include "text/chat/chat_print.h"
#include "text/chat/chat_strings.h"

namespace weft::chat {
namespace {

/// Roles that templates build special tokens of, as in '<|' + role + '|>'.
constexpr std::array<std::string_view, 7> usual_roles = {
    "system", "developer", "user", "assistant", "tool", "function", "ipython"};

/// What a message is to say; its other members tell about it.
constexpr std::array<std::string_view, 4> sayings = {"content", "tool_calls", "function_call",
                                                     "refusal"};
constexpr std::array<std::string_view, 8> particulars = {
    "role", "name", "tool_call_id", "id", "type", "reasoning_content", "thinking", "reasoning"};

template <class Names>
bool is_among(std::string_view name, const Names& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string_view text_or_nothing(const Value* value) {
  return value != nullptr && value->text() != nullptr ? value->text()->str() : std::string_view();
}

/// Is there any text in it, besides types, ids and white space?
bool has_text(const Value& value) {
  if (const Text* text = value.text()) return !strip(*text, std::nullopt, true, false).empty();
  if (const List* list = value.list()) {
    return std::any_of(list->items().begin(), list->items().end(), has_text);
  }
  if (const Dict* dict = value.dict()) {
    return std::any_of(dict->items().begin(), dict->items().end(), [](const Dict::Item& item) {
      return item.id != "type" && item.id != "id" && has_text(item.value);
    });
  }
  return false;
}

/// The first of the names under which a message's reasoning comes.
const Value* reasoning_of(const Dict& message) {
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const Value* value = message.find(name);
    if (value != nullptr && !value->is_none()) return value;
  }
  return nullptr;
}

Value text_part(Value text) {
  Dict part;
  part.set("type", string_value("text"), false);
  part.set("text", std::move(text), false);
  return list_value({dict_value(std::move(part))});
}

/// Parts of type "text" as one text, with line ends between them.
Value joined(const List& parts) {
  Text content;
  bool is_first = true;
  for (const Value& part : parts.items()) {
    const Dict* dict = part.dict();
    const Value* text = dict == nullptr ? nullptr : dict->find("text");
    if (!std::exchange(is_first, false)) content.append("\n");
    if (text != nullptr && text->text() != nullptr) content.append(*text->text());
  }
  return string_value(std::move(content));
}

Value in_form(const Value& content, const ContentForms& forms) {
  if (content.text() != nullptr) {
    return forms.text || !(forms.parts || forms.one_part) ? content : text_part(content);
  }
  const List* parts = content.list();
  if (parts == nullptr || forms.parts) return content;
  return forms.text || !forms.one_part ? joined(*parts) : text_part(joined(*parts));
}

class Preparation {
 public:
  Preparation(const Habits& habits, bool empty_content)
      : habits_(habits), empty_content_(empty_content) {}

  Prepared run(const Value& messages, const Value& tools) {
    std::vector<Value> prepared;
    for (const Value& one : messages.list()->items()) {
      where_ = fmt::format("messages[{}]", prepared.size());
      prepared.push_back(dict_value(message(*one.dict())));
    }
    result_.messages = list_value(std::move(prepared));
    where_.clear();
    result_.tools = tools.list() == nullptr ? tools : each("tools", *tools.list());
    return std::move(result_);
  }

 private:
  Value part(std::string name, const Value& value) {
    if (!has_text(value)) return value;
    result_.parts.push_back(where_.empty() ? std::move(name) : where_ + "." + name);
    return with_source(value, static_cast<Source>(result_.parts.size()));
  }

  Value each(std::string_view name, const List& list) {
    std::vector<Value> items;
    for (const Value& item : list.items()) {
      items.push_back(part(fmt::format("{}[{}]", name, items.size()), item));
    }
    return list_value(std::move(items));
  }

  Dict message(const Dict& given) {
    const Value* reasoning = reasoning_of(given);
    std::string_view role = text_or_nothing(given.find("role"));
    if (role == "developer" && !habits_.knows_developer) role = "system";
    const bool says_something = std::any_of(
        given.items().begin(), given.items().end(),
        [](const Dict::Item& item) { return is_among(item.id, sayings) && has_text(item.value); });
    Dict result;
    if (reasoning != nullptr) result.set("thinking", *reasoning, false);
    for (const auto& [key, value, id] : given.items()) {
      if (id == "role") {
        result.set(key, is_among(role, usual_roles) ? string_value(role) : value);
      } else if (value.is_none()) {
        if (id == "content" && empty_content_) result.set(key, string_value(""));
      } else if (is_among(id, sayings)) {
        result.set(key, saying(id, value, role));
      } else if (says_something || is_among(id, particulars)) {
        result.set(key, value);
      } else {
        result.set(key, part(id, value));
      }
    }
    if (reasoning != nullptr) result.set("reasoning_content", *reasoning, false);
    return result;
  }

  Value saying(const std::string& name, const Value& value, std::string_view role) {
    if (name == "content") return content(value, role);
    if (name == "function_call") return part(name, called(value, name));
    const List* calls = value.list();
    if (name != "tool_calls" || calls == nullptr) return part(name, value);
    std::vector<Value> prepared;
    for (const Value& call : calls->items()) {
      const std::string place = fmt::format("tool_calls[{}]", prepared.size());
      const Dict* dict = call.dict();
      const Value* function = dict == nullptr ? nullptr : dict->find("function");
      Value changed = call;
      if (function != nullptr) {
        Dict copy = *dict;
        copy.set("function", called(*function, place + ".function"), false);
        changed = dict_value(std::move(copy));
      }
      prepared.push_back(part(place, changed));
    }
    return list_value(std::move(prepared));
  }

  Value content(const Value& value, std::string_view role) {
    auto found = habits_.content.find(role);
    if (found == habits_.content.end()) found = habits_.content.find("user");
    const ContentForms forms = found == habits_.content.end() ? ContentForms{} : found->second;
    const List* parts = value.list();
    if (parts == nullptr) return in_form(part("content", value), forms);
    return in_form(each("content", *parts), forms);
  }

  /// A function call with its arguments as text or as object.
  Value called(const Value& function, const std::string& place) const {
    const Dict* dict = function.dict();
    const Value* arguments = dict == nullptr ? nullptr : dict->find("arguments");
    if (arguments == nullptr) return function;
    const bool as_text = habits_.arguments_as_text;
    const bool as_object = habits_.arguments_as_object;
    Dict result = *dict;
    if (arguments->text() != nullptr && as_object && !as_text) {
      result.set("arguments", decoded(arguments->text()->str(), place), false);
    } else if (arguments->dict() != nullptr && as_text && !as_object) {
      Budget budget;
      result.set("arguments", string_value(to_json(*arguments, {}, budget)), false);
    }
    return dict_value(std::move(result));
  }

  Value decoded(const std::string& text, const std::string& place) const {
    if (strip(Text(text), std::nullopt, true, true).empty()) return dict_value({});
    Value value;
    try {
      value = value_from_json(text);
    } catch (const Fault& fault) {
      throw Fault(fmt::format("{}.{}.arguments: {}", where_, place, fault.what()));
    }
    if (value.dict() == nullptr) {
      throw Fault(fmt::format(
          "{}.{}.arguments: a JSON object was expected, as the model's chat template reads one",
          where_, place));
    }
    return value;
  }

  const Habits& habits_;
  bool empty_content_;
  std::string where_;
  Prepared result_;
};

}  // namespace

Prepared prepare(const Value& messages, const Value& tools, const Habits& habits,
                 bool empty_content) {
  return Preparation(habits, empty_content).run(messages, tools);
}

Prepared prepare_plainly(const Value& messages, const Value& tools) {
  Habits habits;
  habits.content["user"] = {true, true, true};
  habits.knows_developer = true;
  return prepare(messages, tools, habits, false);
}

std::vector<std::string> lost_parts(const Prepared& prepared, const Text& prompt) {
  std::vector<bool> there(prepared.parts.size() + 1);
  for (const UserRange& range : prompt.sources())
    there[static_cast<std::size_t>(range.source)] = true;
  std::vector<std::string> lost;
  for (std::size_t i = 0; i < prepared.parts.size(); ++i) {
    if (!there[i + 1]) lost.push_back(prepared.parts[i]);
  }
  return lost;
}

}  // namespace weft::chat
