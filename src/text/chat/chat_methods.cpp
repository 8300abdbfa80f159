#include "text/chat/chat_methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "text/chat/chat_operators.h"
#include "text/chat/chat_print.h"
#include "text/chat/chat_strings.h"

namespace weft::chat {
namespace {

// What Python has beside the methods of the table below. Those that change a list or dictionary
// are forbidden to templates anyway.
constexpr std::array<std::string_view, 24> other_string_methods = {
    "casefold", "center",    "encode",      "expandtabs", "format",   "format_map",
    "isalnum",  "isalpha",   "isascii",     "isdecimal",  "isdigit",  "isidentifier",
    "islower",  "isnumeric", "isprintable", "isspace",    "istitle",  "isupper",
    "ljust",    "maketrans", "partition",   "rpartition", "swapcase", "zfill"};
constexpr std::array<std::string_view, 9> other_list_methods = {
    "append", "clear", "copy", "extend", "insert", "pop", "remove", "reverse", "sort"};
constexpr std::array<std::string_view, 6> other_dict_methods = {"clear",   "fromkeys",   "pop",
                                                                "popitem", "setdefault", "update"};

struct Call {
  const Value& self;
  const Arguments& arguments;
  Budget& budget;

  [[nodiscard]] const Text& text() const { return *self.text(); }
  [[nodiscard]] const Dict& dict() const { return *self.dict(); }
};

std::optional<std::string_view> optional_text(const Call& call, std::size_t at,
                                              std::string_view name) {
  const Value* value = call.arguments.find(at, name);
  if (value == nullptr || value->is_none()) return std::nullopt;
  return text_of(*value, "is no string").str();
}

std::int64_t optional_int(const Call& call, std::size_t at, std::string_view name) {
  const Value* value = call.arguments.find(at, name);
  return value == nullptr ? -1 : int_of(*value, "is no integer");
}

const Text& needed_text(const Call& call, std::size_t at) {
  const Value* value = call.arguments.find(at, "");
  if (value == nullptr) throw Fault("an argument is missing");
  return text_of(*value, "is no string");
}

Value list_of(std::vector<Text> parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (Text& part : parts) items.push_back(string_value(std::move(part)));
  return list_value(std::move(items));
}

Value stripped(const Call& call, bool left, bool right) {
  call.arguments.allow("strip", {"chars"});
  return string_value(strip(call.text(), optional_text(call, 0, "chars"), left, right));
}

Value split_method(const Call& call, bool from_right) {
  call.arguments.allow("split", {"sep", "maxsplit"});
  const auto separator = optional_text(call, 0, "sep");
  const std::int64_t most = optional_int(call, 1, "maxsplit");
  if (!separator) {
    if (from_right && most >= 0) throw Fault("rsplit(None, n) is not supported");
    return list_of(split_at_space(call.text(), most, call.budget));
  }
  return list_of(from_right ? split_from_right(call.text(), *separator, most, call.budget)
                            : split(call.text(), *separator, most, call.budget));
}

// startswith, endswith: a string or a tuple of them.
Value has_affix(const Call& call, bool at_start) {
  call.arguments.allow(at_start ? "startswith" : "endswith", {""});
  const Value* affix = call.arguments.find(0, "");
  if (affix == nullptr) throw Fault("an argument is missing");
  const std::string& s = call.text().str();
  const auto matches = [&](const Value& value) {
    const std::string& text = text_of(value, "is neither a string nor a tuple of them").str();
    return at_start ? s.starts_with(text) : s.ends_with(text);
  };
  const List* list = affix->list();
  if (list == nullptr || !list->is_tuple()) return bool_value(matches(*affix));
  return bool_value(std::any_of(list->items().begin(), list->items().end(), matches));
}

Value without_affix(const Call& call, bool at_start) {
  call.arguments.allow(at_start ? "removeprefix" : "removesuffix", {""});
  const std::string& affix = needed_text(call, 0).str();
  const Text& text = call.text();
  const bool there = at_start ? text.str().starts_with(affix) : text.str().ends_with(affix);
  if (!there) return call.self;
  return string_value(at_start ? text.part(affix.size(), text.size())
                               : text.part(0, text.size() - affix.size()));
}

Value replaced(const Call& call) {
  call.arguments.allow("replace", {"", "", "count"});
  const std::int64_t most = optional_int(call, 2, "count");
  call.budget.bytes(call.text().size());
  return string_value(
      replace(call.text(), needed_text(call, 0).str(), needed_text(call, 1), most, call.budget));
}

Value joined(const Call& call) {
  call.arguments.allow("join", {""});
  const Value* parts = call.arguments.find(0, "");
  if (parts == nullptr) throw Fault("an argument is missing");
  Text result;
  bool first = true;
  const auto list = items_of(*parts, call.budget);
  for (const Value& part : list->items()) {
    if (!std::exchange(first, false)) result.append(call.text());
    result.append(text_of(part, "cannot be joined: not a string"));
    call.budget.bytes(call.text().size() + part.text()->size());
  }
  return string_value(std::move(result));
}

// find, rfind, index: the number of a character.
Value found(const Call& call, bool last, bool must) {
  call.arguments.allow("find", {""});
  const std::string& s = call.text().str();
  const std::string& wanted = needed_text(call, 0).str();
  const std::size_t at = last ? s.rfind(wanted) : s.find(wanted);
  if (at == std::string::npos) {
    if (must) throw Fault("substring not found");
    return int_value(-1);
  }
  return int_value(static_cast<std::int64_t>(char_count(std::string_view(s).substr(0, at))));
}

Value counted(const Call& call) {
  call.arguments.allow("count", {""});
  if (const List* list = call.self.list()) {
    const Value* wanted = call.arguments.find(0, "");
    if (wanted == nullptr) throw Fault("an argument is missing");
    return int_value(
        std::count_if(list->items().begin(), list->items().end(),
                      [&](const Value& item) { return equal(item, *wanted, call.budget); }));
  }
  const auto parts = split(call.text(), needed_text(call, 0).str(), -1, call.budget);
  return int_value(static_cast<std::int64_t>(parts.size()) - 1);
}

Value index_of(const Call& call) {
  if (call.self.text() != nullptr) return found(call, false, true);
  call.arguments.allow("index", {""});
  const Value* wanted = call.arguments.find(0, "");
  if (wanted == nullptr) throw Fault("an argument is missing");
  const auto& items = call.self.list()->items();
  const auto at = std::find_if(items.begin(), items.end(), [&](const Value& item) {
    return equal(item, *wanted, call.budget);
  });
  if (at == items.end()) throw Fault("the value is not in the list");
  return int_value(at - items.begin());
}

Value members(const Call& call, bool keys, bool values) {
  call.arguments.allow("items", {});
  const Dict& dict = call.dict();
  call.budget.steps(dict.items().size());
  std::vector<Value> result;
  for (std::size_t i = 0; i < dict.items().size(); ++i) {
    const Value& value = dict.items()[i].second;
    if (keys && values) {
      result.push_back(list_value({dict.key(i), value}, true));
    } else {
      result.push_back(keys ? dict.key(i) : value);
    }
  }
  return list_value(std::move(result));
}

Value get(const Call& call) {
  call.arguments.allow("get", {"", ""});
  const Value* key = call.arguments.find(0, "");
  if (key == nullptr) throw Fault("an argument is missing");
  const Value* value = key->text() == nullptr ? nullptr : call.dict().find(key->text()->str());
  if (value != nullptr) return *value;
  const Value* otherwise = call.arguments.find(1, "");
  return otherwise != nullptr ? *otherwise : none_value();
}

Value without_arguments(const Call& call, Text (*operation)(const Text&)) {
  call.arguments.allow("the method", {});
  call.budget.bytes(call.text().size());
  return string_value(operation(call.text()));
}

Value lines(const Call& call) {
  call.arguments.allow("splitlines", {"keepends"});
  const Value* keep = call.arguments.find(0, "keepends");
  auto parts = split_lines(call.text(), keep != nullptr && is_true(*keep));
  call.budget.steps(parts.size());
  return list_of(std::move(parts));
}

struct Method {
  std::string_view name;
  bool of_string, of_list, of_dict;
  Value (*call)(const Call&);
};
constexpr std::array<Method, 26> methods = {{
    {"strip", true, false, false, [](const Call& c) { return stripped(c, true, true); }},
    {"lstrip", true, false, false, [](const Call& c) { return stripped(c, true, false); }},
    {"rstrip", true, false, false, [](const Call& c) { return stripped(c, false, true); }},
    {"split", true, false, false, [](const Call& c) { return split_method(c, false); }},
    {"rsplit", true, false, false, [](const Call& c) { return split_method(c, true); }},
    {"splitlines", true, false, false, lines},
    {"startswith", true, false, false, [](const Call& c) { return has_affix(c, true); }},
    {"endswith", true, false, false, [](const Call& c) { return has_affix(c, false); }},
    {"removeprefix", true, false, false, [](const Call& c) { return without_affix(c, true); }},
    {"removesuffix", true, false, false, [](const Call& c) { return without_affix(c, false); }},
    {"upper", true, false, false, [](const Call& c) { return without_arguments(c, upper); }},
    {"lower", true, false, false, [](const Call& c) { return without_arguments(c, lower); }},
    {"capitalize", true, false, false,
     [](const Call& c) { return without_arguments(c, capitalize); }},
    {"title", true, false, false,
     [](const Call& c) {
       return without_arguments(c, [](const Text& text) { return title(text, false); });
     }},
    {"replace", true, false, false, replaced},
    {"join", true, false, false, joined},
    {"find", true, false, false, [](const Call& c) { return found(c, false, false); }},
    {"rfind", true, false, false, [](const Call& c) { return found(c, true, false); }},
    {"rindex", true, false, false, [](const Call& c) { return found(c, true, true); }},
    {"count", true, true, false, counted},
    {"index", true, true, false, index_of},
    {"items", false, false, true, [](const Call& c) { return members(c, true, true); }},
    {"keys", false, false, true, [](const Call& c) { return members(c, true, false); }},
    {"values", false, false, true, [](const Call& c) { return members(c, false, true); }},
    {"get", false, false, true, get},
    {"copy", false, true, true, [](const Call& c) { return c.self; }},
}};

bool suits(const Method& method, const Value& self) {
  return (method.of_string && self.text() != nullptr) ||
         (method.of_list && self.list() != nullptr) || (method.of_dict && self.dict() != nullptr);
}

}  // namespace

const Value* Arguments::find(std::size_t position, std::string_view name) const {
  if (position < positional.size()) return &positional[position];
  for (const auto& [given, value] : named) {
    if (!name.empty() && given == name) return &value;
  }
  return nullptr;
}

void Arguments::allow(std::string_view callee,
                      std::initializer_list<std::string_view> names) const {
  if (positional.size() > names.size()) {
    throw Fault(fmt::format("{}: {} arguments, at most {} are supported", callee, positional.size(),
                            names.size()));
  }
  for (const auto& [given, value] : named) {
    if (given.empty() || std::find(names.begin(), names.end(), given) == names.end()) {
      throw Fault(fmt::format("{}: argument '{}' is not supported", callee, given));
    }
  }
}

bool has_method(const Value& self, std::string_view name) {
  for (const Method& method : methods) {
    if (method.name == name && suits(method, self)) return true;
  }
  const auto in = [&](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return (self.text() != nullptr && in(other_string_methods)) ||
         (self.list() != nullptr && in(other_list_methods)) ||
         (self.dict() != nullptr && in(other_dict_methods));
}

bool is_supported_method(std::string_view name) {
  return std::any_of(methods.begin(), methods.end(),
                     [&](const Method& method) { return method.name == name; });
}

Value call_method(const Value& self, std::string_view name, const Arguments& arguments,
                  Budget& budget) {
  for (const Method& method : methods) {
    if (method.name == name && suits(method, self)) return method.call({self, arguments, budget});
  }
  throw Fault(fmt::format("the method {}() of '{}' is not supported", name, type_name(self)));
}

}  // namespace weft::chat
