// Filters that work on one value.
#include "text/chat/chat_filters.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include "text/chat/chat_format.h"
#include "text/chat/chat_operators.h"
#include "text/chat/chat_print.h"
#include "text/chat/chat_strings.h"
#include "text/utf8.h"

namespace weft::chat {
namespace {

Value as_text(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("string", {});
  return string_value(to_text(input, budget));
}

Value safe(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("safe", {});
  Text text = to_text(input, budget);
  budget.bytes(text.size());
  text.set_markup(true);
  return string_value(std::move(text));
}

Value escape(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("escape", {});
  const Text text = to_text(input, budget);
  budget.bytes(6 * text.size());
  return string_value(escaped(text));
}

Value force_escape(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("forceescape", {});
  Text text = to_text(input, budget);
  text.set_markup(false);
  budget.bytes(6 * text.size());
  return string_value(escaped(text));
}

template <Text (*operation)(const Text&)>
Value on_text(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("the filter", {});
  const Text text = to_text(input, budget);
  budget.bytes(text.size());
  return string_value(operation(text));
}

Text title_filter(const Text& text) {
  Text result = title(text, true);
  result.set_markup(false);
  return result;
}

Value trim(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("trim", {"chars"});
  const Text text = to_text(input, budget);
  budget.bytes(text.size());
  const Value* chars = arguments.find(0, "chars");
  if (chars == nullptr || chars->is_none()) {
    return string_value(strip(text, std::nullopt, true, true));
  }
  return string_value(strip(text, text_of(*chars, "is no string").str(), true, true));
}

Value count(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("length", {});
  return int_value(static_cast<std::int64_t>(length(input, budget)));
}

Value default_to(const Value& input, const Arguments& arguments, Budget&) {
  arguments.allow("default", {"default_value", "boolean"});
  const Value* boolean = arguments.find(1, "boolean");
  const bool replaces =
      input.is_undefined() || (boolean != nullptr && is_true(*boolean) && !is_true(input));
  if (!replaces) return input;
  const Value* value = arguments.find(0, "default_value");
  return value != nullptr ? *value : string_value("");
}

Value replace_filter(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("replace", {"old", "new", "count"});
  const Value* from = arguments.find(0, "old");
  const Value* to = arguments.find(1, "new");
  const Value* most = arguments.find(2, "count");
  if (from == nullptr || to == nullptr) throw Fault("replace: an argument is missing");
  const bool all = most == nullptr || most->is_none();
  Text text = to_text(input, budget);
  text.set_markup(false);
  budget.bytes(text.size());
  return string_value(replace(text, to_text(*from, budget).str(), to_text(*to, budget),
                              all ? -1 : int_of(*most, "is no integer"), budget));
}

// A number of spaces, or a string.
Text indentation(const Value* width) {
  if (width == nullptr) return Text("    ");
  if (const Text* text = width->text()) return *text;
  const std::int64_t spaces = int_of(*width, "is no width");
  return Text(
      std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(spaces, 0, 1000)), ' '));
}

Value indent(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("indent", {"width", "first", "blank"});
  const Text margin = indentation(arguments.find(0, "width"));
  const auto flag = [&](std::size_t at, std::string_view name) {
    const Value* value = arguments.find(at, name);
    return value != nullptr && is_true(*value);
  };
  const bool blank = flag(2, "blank");
  Text text = text_of(input, "cannot be indented");
  text.append("\n");
  const std::vector<Text> lines = split_lines(text, false);
  Text result;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    budget.bytes(margin.size() + lines[i].size() + 1);
    if (i > 0) result.append("\n");
    if (i == 0 ? flag(1, "first") : blank || !lines[i].empty()) result.append(margin);
    result.append(lines[i]);
  }
  result.set_markup(text.is_markup());
  return string_value(std::move(result));
}

std::string json_indent(const Value& value) {
  if (const Text* text = value.text()) return text->str();
  const std::int64_t spaces = int_of(value, "is no indent");
  return std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(spaces, 0, 100)), ' ');
}

Value json(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  const auto given = [&](std::size_t at, std::string_view name) {
    const Value* value = arguments.find(at, name);
    return value == nullptr || value->is_none() ? nullptr : value;
  };
  if (const Value* ascii = given(0, "ensure_ascii")) style.ascii = is_true(*ascii);
  if (const Value* width = given(1, "indent")) {
    style.indent = json_indent(*width);
    style.between_items = ",";
  }
  if (const Value* separators = given(2, "separators")) {
    const List* pair = separators->list();
    if (pair == nullptr || pair->items().size() != 2) {
      throw Fault("tojson: separators are no pair of strings");
    }
    style.between_items = text_of(pair->items()[0], "is no string").str();
    style.behind_key = text_of(pair->items()[1], "is no string").str();
  }
  if (const Value* sorted = given(3, "sort_keys")) style.sort_keys = is_true(*sorted);
  return string_value(to_json(input, style, budget));
}

Value integer(const Value& input, const Arguments& arguments, Budget&) {
  arguments.allow("int", {"default", "base"});
  if (input.is_undefined()) fault_type(input, "");
  if (arguments.find(1, "base") != nullptr) throw Fault("int: a base is not supported");
  const Value* otherwise = arguments.find(0, "default");
  const Value fallback = otherwise != nullptr ? *otherwise : int_value(0);
  if (input.is<std::int64_t>() || input.is<bool>()) return int_value(int_of(input, ""));
  double real = 0;
  if (const auto n = number(input)) {
    real = *n;
    if (std::isinf(real)) throw Fault("an infinite number is no integer");
  } else if (const Text* text = input.text()) {
    const Text stripped = strip(*text, std::nullopt, true, true);
    std::string_view digits = stripped.str();
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const char* const end = digits.data() + digits.size();
    std::int64_t whole = 0;
    if (const auto [stop, error] = std::from_chars(digits.data(), end, whole);
        error == std::errc() && stop == end) {
      return int_value(whole);
    }
    const auto [stop, error] = std::from_chars(digits.data(), end, real);
    if (error != std::errc() || stop != end) return fallback;
  } else {
    return fallback;
  }
  if (!std::isfinite(real) || std::fabs(real) >= 9.2e18) return fallback;
  return int_value(static_cast<std::int64_t>(real));
}

Value real(const Value& input, const Arguments& arguments, Budget&) {
  arguments.allow("float", {"default"});
  if (input.is_undefined()) fault_type(input, "");
  if (const auto n = number(input)) return float_value(*n);
  if (const Text* text = input.text()) {
    const Text stripped = strip(*text, std::nullopt, true, true);
    std::string_view digits = stripped.str();
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const char* const end = digits.data() + digits.size();
    double result = 0;
    const auto [stop, error] = std::from_chars(digits.data(), end, result);
    if (error == std::errc() && stop == end) return float_value(result);
  }
  const Value* otherwise = arguments.find(0, "default");
  return otherwise != nullptr ? *otherwise : float_value(0);
}

Value absolute(const Value& input, const Arguments& arguments, Budget&) {
  arguments.allow("abs", {});
  const auto n = number(input);
  if (!n) fault_type(input, "has no absolute value");
  return *n < 0 ? negated(input) : input.is<bool>() ? int_value(int_of(input, "")) : input;
}

Value rounded(const Value& input, const Arguments& arguments, Budget&) {
  arguments.allow("round", {"precision", "method"});
  const auto n = number(input);
  if (!n) fault_type(input, "cannot be rounded");
  const Value* given = arguments.find(0, "precision");
  const std::int64_t precision = given == nullptr ? 0 : int_of(*given, "is no precision");
  if (precision < 0 || precision > 15) {
    throw Fault("round: a precision below 0 or above 15 is not supported");
  }
  const Value* method = arguments.find(1, "method");
  const std::string name =
      method == nullptr ? "common" : text_of(*method, "is no method of rounding").str();
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (name == "ceil") return float_value(std::ceil(*n * scale) / scale);
  if (name == "floor") return float_value(std::floor(*n * scale) / scale);
  if (name != "common") throw Fault("round: the method is none of common, ceil and floor");
  if (!input.is<double>()) return int_value(int_of(input, ""));
  return float_value(std::stod(fmt::format("{:.{}f}", *n, static_cast<int>(precision))));
}

Value center(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("center", {"width"});
  Arguments width;
  const Value* given = arguments.find(0, "width");
  width.positional = {given != nullptr ? *given : int_value(80)};
  return call_method(string_value(to_text(input, budget)), "center", width, budget);
}

Value format(const Value& input, const Arguments& arguments, Budget& budget) {
  const Text text = to_text(input, budget);
  if (arguments.named.empty()) {
    return percent_format(text, tuple_value(arguments.positional), budget);
  }
  if (!arguments.positional.empty()) {
    throw Fault("format: arguments by position and by name");
  }
  Dict values;
  for (const auto& [name, value] : arguments.named) values.set(name, value, false);
  return percent_format(text, dict_value(std::move(values)), budget);
}

Value attr(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("attr", {"name"});
  const Value* name = arguments.find(0, "name");
  if (name == nullptr) throw Fault("attr: an argument is missing");
  const std::string wanted = to_text(*name, budget).str();
  if (input.space() != nullptr || input.loop() != nullptr) return attribute(input, wanted);
  if (auto method = find_method(input, wanted)) return *method;
  return undefined_value(fmt::format("'{}' has no attribute '{}'", type_name(input), wanted));
}

// The number of words: of letters, digits and underscores.
Value word_count(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("wordcount", {});
  const Text text = to_text(input, budget);
  budget.steps(text.size() / 8);
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t c = next_char(text.str(), pos);
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
    const bool is_word = c == '_' ||
                         (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
                         (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
    words += is_word && !inside ? 1 : 0;
    inside = is_word;
  }
  return int_value(words);
}

Value truncate(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("truncate", {"length", "killwords", "end", "leeway"});
  const auto whole = [&](std::size_t at, std::string_view name, std::int64_t otherwise) {
    const Value* given = arguments.find(at, name);
    return given == nullptr || given->is_none() ? otherwise : int_of(*given, "is no integer");
  };
  const Value* end = arguments.find(2, "end");
  const Text tail = end == nullptr ? Text("...") : text_of(*end, "is no string");
  const std::int64_t most = whole(0, "length", 255);
  const std::int64_t leeway = whole(3, "leeway", 5);
  const std::int64_t kept = most - static_cast<std::int64_t>(char_count(tail.str()));
  if (kept < 0 || leeway < 0) throw Fault("truncate: a length that is too short");
  if (static_cast<std::int64_t>(length(input, budget)) <= most + leeway) return input;
  const Text& text = text_of(input, "cannot be truncated");
  Text result = text.part(0, char_offset(text.str(), static_cast<std::size_t>(kept)));
  const Value* kill = arguments.find(1, "killwords");
  if (kill == nullptr || !is_true(*kill)) {
    const std::size_t space = result.str().rfind(' ');
    if (space != std::string::npos) result = result.part(0, space);
  }
  result.append(tail);
  return string_value(std::move(result));
}

// A string for a URL: letters, digits and _.-~/ stay, other bytes become %XX.
Value url_encode(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("urlencode", {});
  if (input.text() == nullptr && (input.list() != nullptr || input.dict() != nullptr)) {
    throw Fault("urlencode of anything but a string or a number is not supported");
  }
  const Text text = to_text(input, budget);
  budget.bytes(3 * text.size());
  Text result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text.str()[i];
    const bool stays = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("_.-~/").find(c) != std::string_view::npos;
    if (stays) {
      result.append_part(text, i, i + 1);
    } else {
      result.append(fmt::format("%{:02X}", static_cast<unsigned char>(c)), text.any_user());
    }
  }
  return string_value(std::move(result));
}

constexpr std::array<std::string_view, 54> names_of_jinja = {
    "abs",    "attr",       "batch",       "capitalize", "center",   "count",
    "d",      "default",    "dictsort",    "e",          "escape",   "filesizeformat",
    "first",  "float",      "forceescape", "format",     "groupby",  "indent",
    "int",    "items",      "join",        "last",       "length",   "list",
    "lower",  "map",        "max",         "min",        "pprint",   "random",
    "reject", "rejectattr", "replace",     "reverse",    "round",    "safe",
    "select", "selectattr", "slice",       "sort",       "string",   "striptags",
    "sum",    "title",      "tojson",      "trim",       "truncate", "unique",
    "upper",  "urlencode",  "urlize",      "wordcount",  "wordwrap", "xmlattr"};

constexpr std::array<Filter, 28> filters = {{
    {"string", as_text},
    {"safe", safe},
    {"escape", escape},
    {"e", escape},
    {"forceescape", force_escape},
    {"center", center},
    {"format", format},
    {"attr", attr},
    {"wordcount", word_count},
    {"truncate", truncate},
    {"urlencode", url_encode},
    {"trim", trim},
    {"length", count},
    {"count", count},
    {"default", default_to},
    {"d", default_to},
    {"upper", on_text<upper>},
    {"lower", on_text<lower>},
    {"capitalize", on_text<capitalize>},
    {"title", on_text<title_filter>},
    {"replace", replace_filter},
    {"indent", indent},
    {"tojson", json},
    {"int", integer},
    {"float", real},
    {"abs", absolute},
    {"round", rounded},
}};

}  // namespace

bool is_filter_of_jinja(std::string_view name) {
  return std::find(names_of_jinja.begin(), names_of_jinja.end(), name) != names_of_jinja.end();
}

void fault_filter(std::string_view name) {
  throw Fault(is_filter_of_jinja(name) ? fmt::format("the filter '{}' is not supported", name)
                                       : fmt::format("there is no filter '{}'", name));
}

const Filter* find_filter(std::string_view name) {
  const auto at = std::find_if(filters.begin(), filters.end(),
                               [name](const Filter& filter) { return filter.name == name; });
  return at == filters.end() ? find_list_filter(name) : &*at;
}

}  // namespace weft::chat
