#include "text/chat/chat_methods.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <functional>

#include "text/chat/chat_format.h"
#include "text/chat/chat_operators.h"
#include "text/chat/chat_print.h"
#include "text/chat/chat_strings.h"
#include "text/utf8.h"

namespace weft::chat {
namespace {

// What Python has beside the methods of the table below; those that change a list or dictionary
// are forbidden to templates.
constexpr std::array<std::string_view, 12> other_string_methods = {
    "casefold",    "encode",  "expandtabs", "format_map", "isidentifier", "isnumeric",
    "isprintable", "istitle", "maketrans",  "translate",  "isdecimal",    "isascii"};
constexpr std::array<std::string_view, 1> other_dict_methods = {"fromkeys"};
constexpr std::array<std::string_view, 8> forbidden_list_methods = {
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
constexpr std::array<std::string_view, 5> forbidden_dict_methods = {"clear", "pop", "popitem",
                                                                    "setdefault", "update"};

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
  call.budget.steps(call.text().size() / 64);
  return string_value(strip(call.text(), optional_text(call, 0, "chars"), left, right));
}

Value split_method(const Call& call, bool from_right) {
  call.arguments.allow("split", {"sep", "maxsplit"});
  const auto separator = optional_text(call, 0, "sep");
  const std::int64_t most = optional_int(call, 1, "maxsplit");
  call.budget.steps(call.text().size() / 64);
  if (!separator) {
    return list_of(from_right && most >= 0
                       ? split_at_space_from_right(call.text(), most, call.budget)
                       : split_at_space(call.text(), most, call.budget));
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
      replace(call.text(), needed_text(call, 0).str(),
              call.text().is_markup() ? escaped(needed_text(call, 1)) : needed_text(call, 1), most,
              call.budget));
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
    const Text& text = text_of(part, "cannot be joined: not a string");
    result.append(call.text().is_markup() ? escaped(text) : text);
    call.budget.bytes(call.text().size() + part.text()->size());
  }
  result.set_markup(call.text().is_markup());
  return string_value(std::move(result));
}

// find, rfind, index: the number of a character.
Value found(const Call& call, bool last, bool must) {
  call.arguments.allow("find", {""});
  const std::string& s = call.text().str();
  const std::string& wanted = needed_text(call, 0).str();
  call.budget.steps(s.size() / 64);
  const std::size_t at = last ? find_last_bytes(s, wanted) : find_bytes(s, wanted);
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
    const Value& value = dict.items()[i].value;
    if (keys && values) {
      result.push_back(tuple_value({dict.items()[i].key, value}));
    } else {
      result.push_back(keys ? dict.items()[i].key : value);
    }
  }
  const List::Kind kind = !keys    ? List::Kind::values
                          : values ? List::Kind::items
                                   : List::Kind::keys;
  return list_value(std::move(result), kind);
}

Value get(const Call& call) {
  call.arguments.allow("get", {"", ""});
  const Value* key = call.arguments.find(0, "");
  if (key == nullptr) throw Fault("an argument is missing");
  const Value* value = call.dict().find(*key);
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

std::int64_t needed_int(const Call& call) {
  const Value* value = call.arguments.find(0, "");
  if (value == nullptr) throw Fault("an argument is missing");
  constexpr std::int64_t widest = 1'000'000;
  const std::int64_t width = int_of(*value, "is no integer");
  if (width > widest) throw Fault("a width that is too large");
  call.budget.bytes(width > 0 ? static_cast<std::size_t>(width) : 0);
  return width;
}

Value justified(const Call& call, Text::Side side) {
  call.arguments.allow("center", {"", ""});
  const Value* fill = call.arguments.find(1, "");
  const std::string with = fill == nullptr ? " " : text_of(*fill, "is no string").str();
  if (char_count(with) != 1) throw Fault("a fill that is not one character");
  return string_value(padded(call.text(), needed_int(call), side, with));
}

Value zero_filled(const Call& call) {
  call.arguments.allow("zfill", {""});
  const Text& text = call.text();
  const bool has_sign = !text.empty() && (text.str()[0] == '-' || text.str()[0] == '+');
  Text result = text.part(0, has_sign ? 1 : 0);
  result.append(padded(text.part(has_sign ? 1 : 0, text.size()),
                       needed_int(call) - (has_sign ? 1 : 0), Text::Side::right, "0"));
  return string_value(std::move(result));
}

// partition, rpartition: the text before, the separator, the text behind.
Value parted(const Call& call, bool from_right) {
  call.arguments.allow("partition", {""});
  const Text& text = call.text();
  const Text& separator = needed_text(call, 0);
  if (separator.empty()) throw Fault("empty separator");
  call.budget.bytes(text.size());
  const std::size_t at = from_right ? find_last_bytes(text.str(), separator.str())
                                    : find_bytes(text.str(), separator.str());
  const Value nothing = string_value(text.part(0, 0));
  if (at == std::string::npos) {
    return from_right ? tuple_value({nothing, nothing, call.self})
                      : tuple_value({call.self, nothing, nothing});
  }
  const std::size_t behind = at + separator.size();
  return tuple_value({string_value(text.part(0, at)), string_value(text.part(at, behind)),
                      string_value(text.part(behind, text.size()))});
}

// isalpha and the like: there are characters, and all are of these categories.
Value all_of_class(const Call& call, bool (*is_in)(utf8proc_category_t)) {
  call.arguments.allow("the method", {});
  call.budget.steps(call.text().size() / 16);
  const std::string& s = call.text().str();
  for (std::size_t pos = 0; pos < s.size();) {
    if (!is_in(utf8proc_category(static_cast<utf8proc_int32_t>(next_char(s, pos))))) {
      return bool_value(false);
    }
  }
  return bool_value(!s.empty());
}

bool is_letter(utf8proc_category_t c) {
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal(utf8proc_category_t c) { return c == UTF8PROC_CATEGORY_ND; }
bool is_alphanumeric(utf8proc_category_t c) {
  return is_letter(c) || (c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO);
}

// str.isupper and str.islower: the text is unchanged by the mapping, and has letters.
Value in_case(const Call& call, Text (*mapping)(const Text&), Text (*other)(const Text&)) {
  call.arguments.allow("the method", {});
  call.budget.bytes(2 * call.text().size());
  const std::string& s = call.text().str();
  return bool_value(mapping(call.text()).str() == s && other(call.text()).str() != s);
}

Value all_space(const Call& call) {
  call.arguments.allow("isspace", {});
  const Text rest = strip(call.text(), std::nullopt, true, false);
  return bool_value(!call.text().empty() && rest.empty());
}

Value formatted(const Call& call) { return brace_format(call.text(), call.arguments, call.budget); }

struct Method {
  std::string_view name;
  bool of_string, of_list, of_dict;
  Value (*call)(const Call&);
};
constexpr std::array<Method, 40> methods = {{
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
    {"center", true, false, false, [](const Call& c) { return justified(c, Text::Side::middle); }},
    {"ljust", true, false, false, [](const Call& c) { return justified(c, Text::Side::left); }},
    {"rjust", true, false, false, [](const Call& c) { return justified(c, Text::Side::right); }},
    {"zfill", true, false, false, zero_filled},
    {"partition", true, false, false, [](const Call& c) { return parted(c, false); }},
    {"rpartition", true, false, false, [](const Call& c) { return parted(c, true); }},
    {"swapcase", true, false, false, [](const Call& c) { return without_arguments(c, swap_case); }},
    {"isalpha", true, false, false, [](const Call& c) { return all_of_class(c, is_letter); }},
    {"isdigit", true, false, false, [](const Call& c) { return all_of_class(c, is_decimal); }},
    {"isalnum", true, false, false, [](const Call& c) { return all_of_class(c, is_alphanumeric); }},
    {"isspace", true, false, false, all_space},
    {"isupper", true, false, false, [](const Call& c) { return in_case(c, upper, lower); }},
    {"islower", true, false, false, [](const Call& c) { return in_case(c, lower, upper); }},
    {"format", true, false, false, formatted},
}};

// May a template not call it, because it changes the value?
bool is_forbidden(const Value& self, std::string_view name) {
  const auto in = [&](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const List* list = self.list();
  return (list != nullptr && list->is_list() && in(forbidden_list_methods)) ||
         (self.dict() != nullptr && in(forbidden_dict_methods));
}

bool suits(const Method& method, const Value& self) {
  return (method.of_string && self.text() != nullptr) ||
         (method.of_list && self.list() != nullptr && !self.list()->is_view() &&
          (self.list()->is_list() || method.name != "copy")) ||
         (method.of_dict && self.dict() != nullptr);
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

namespace {

bool has_method(const Value& self, std::string_view name) {
  for (const Method& method : methods) {
    if (method.name == name && suits(method, self)) return true;
  }
  const auto in = [&](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return (self.text() != nullptr && in(other_string_methods)) ||
         (self.dict() != nullptr && in(other_dict_methods));
}

}  // namespace

Value call_method(const Value& self, std::string_view name, const Arguments& arguments,
                  Budget& budget) {
  if (const Loop* loop = self.loop()) {
    const auto count = static_cast<std::int64_t>(arguments.positional.size());
    if (count == 0) throw Fault("loop.cycle: an argument is missing");
    return arguments.positional[static_cast<std::size_t>(loop->index() % count)];
  }
  for (const Method& method : methods) {
    if (method.name == name && suits(method, self)) return method.call({self, arguments, budget});
  }
  throw Fault(fmt::format("the method {}() of '{}' is not supported", name, type_name(self)));
}

std::optional<Value> find_method(const Value& self, std::string_view name) {
  if (is_forbidden(self, name)) {
    return undefined_value(
        fmt::format("{}() would change the '{}', which a template may not", name, type_name(self)));
  }
  const bool is_cycle = self.loop() != nullptr && name == "cycle";
  if (name.starts_with('_') || !(is_cycle || has_method(self, name))) return std::nullopt;
  return method_value(name, self);
}

}  // namespace weft::chat
