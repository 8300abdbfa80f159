// Filters that work on the items of a list.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "text/chat/chat_filters.h"
#include "text/chat/chat_operators.h"
#include "text/chat/chat_print.h"
#include "text/chat/chat_strings.h"

namespace weft::chat {
namespace {

using Items = std::vector<Value>;

// `input`'s items, copied.
Items items(const Value& input, Budget& budget) {
  Items result = items_of(input, budget)->items();
  budget.bytes(result.size() * sizeof(Value));
  return result;
}

bool flag(const Arguments& arguments, std::size_t at, std::string_view name) {
  const Value* value = arguments.find(at, name);
  return value != nullptr && is_true(*value);
}

// item.a.b for "a.b"; numbers are positions. The item itself where there is no path.
Value member(const Value& item, const Value* path, Budget& budget) {
  if (path == nullptr || path->is_none()) return item;
  if (path->text() == nullptr) return subscript(item, *path, budget);
  Value result = item;
  for (const Text& part : split(*path->text(), ".", -1, budget)) {
    std::int64_t position = 0;
    const char* const end = part.str().data() + part.size();
    const auto [stop, error] = std::from_chars(part.str().data(), end, position);
    const bool is_number = error == std::errc() && stop == end && position >= 0;
    result = subscript(result, is_number ? int_value(position) : string_value(part), budget);
  }
  return result;
}

Value folded(const Value& value, bool case_sensitive) {
  return case_sensitive || value.text() == nullptr ? value : string_value(lower(*value.text()));
}

Value first(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("first", {});
  const auto list = items_of(input, budget);
  return list->items().empty() ? undefined_value("no first item: the list is empty")
                               : list->items().front();
}

Value last(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("last", {});
  const auto list = items_of(input, budget);
  return list->items().empty() ? undefined_value("no last item: the list is empty")
                               : list->items().back();
}

Value as_list(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("list", {});
  return list_value(items(input, budget));
}

Value dict_items(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("items", {});
  if (input.is_undefined()) return list_value({});
  if (input.dict() == nullptr) fault_type(input, "is no dictionary");
  return call_method(input, "items", {}, budget);
}

Value join(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("join", {"d", "attribute"});
  const Value* separator = arguments.find(0, "d");
  const Text between = separator == nullptr ? Text() : to_text(*separator, budget);
  Text result;
  bool is_first = true;
  const auto list = items_of(input, budget);
  for (const Value& item : list->items()) {
    if (!std::exchange(is_first, false)) result.append(between);
    const Text text = to_text(member(item, arguments.find(1, "attribute"), budget), budget);
    budget.bytes(between.size() + text.size());
    result.append(text);
  }
  return string_value(std::move(result));
}

Value reverse(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("reverse", {});
  Items result = items(input, budget);
  std::reverse(result.begin(), result.end());
  if (input.text() == nullptr) return list_value(std::move(result));
  Text text;
  for (const Value& character : result) text.append(*character.text());
  return string_value(std::move(text));
}

// map(attribute="a.b", default=…), or map("filter", arguments…).
Value map(const Value& input, const Arguments& arguments, Budget& budget) {
  Items result = items(input, budget);
  if (arguments.positional.empty()) {
    arguments.allow("map", {"attribute", "default"});
    const Value* path = arguments.find(0, "attribute");
    const Value* otherwise = arguments.find(1, "default");
    if (path == nullptr) throw Fault("map: an argument is missing");
    for (Value& item : result) {
      item = member(item, path, budget);
      if (item.is_undefined() && otherwise != nullptr) item = *otherwise;
    }
    return list_value(std::move(result));
  }
  const std::string& name = text_of(arguments.positional.front(), "is no name").str();
  const Filter* filter = find_filter(name);
  if (filter == nullptr || filter->apply == map) {
    throw Fault(fmt::format("map: the filter '{}' is not supported", name));
  }
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  for (Value& item : result) item = filter->apply(item, rest, budget);
  return list_value(std::move(result));
}

// select, reject: by the item itself; selectattr, rejectattr: by a member of it. The test is the
// next argument; without one, the value's truth.
template <bool by_member, bool keeps>
Value choose(const Value& input, const Arguments& arguments, Budget& budget) {
  Arguments rest = arguments;
  const auto take = [&rest]() -> std::optional<Value> {
    if (rest.positional.empty()) return std::nullopt;
    Value value = rest.positional.front();
    rest.positional.erase(rest.positional.begin());
    return value;
  };
  std::optional<Value> path;
  if (by_member && !(path = take())) throw Fault("selectattr: an argument is missing");
  const Test* test = nullptr;
  if (const std::optional<Value> name = take()) {
    test = find_test(text_of(*name, "is no name of a test").str());
    if (test == nullptr) {
      throw Fault(fmt::format("the test '{}' is not supported", name->text()->str()));
    }
  }
  Items result;
  const auto list = items_of(input, budget);
  for (const Value& item : list->items()) {
    const Value value = member(item, path ? &*path : nullptr, budget);
    const bool holds = test == nullptr ? is_true(value) : test->holds(value, rest, budget);
    if (holds == keeps) result.push_back(item);
  }
  budget.bytes(result.size() * sizeof(Value));
  return list_value(std::move(result));
}

struct Keyed {
  Value key;
  Value item;
};

// Items with their sort keys, in ascending or descending order; equal ones stay in order.
Items sorted_by_key(std::vector<Keyed> keyed, bool descending, Budget& budget) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    return descending ? compare(b.key, a.key, budget) < 0 : compare(a.key, b.key, budget) < 0;
  });
  Items result;
  result.reserve(keyed.size());
  for (Keyed& entry : keyed) result.push_back(std::move(entry.item));
  return result;
}

Value sort(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("sort", {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = flag(arguments, 1, "case_sensitive");
  std::vector<Keyed> keyed;
  for (const Value& item : items(input, budget)) {
    const Value key = member(item, arguments.find(2, "attribute"), budget);
    keyed.push_back({folded(key, case_sensitive), item});
  }
  return list_value(sorted_by_key(std::move(keyed), flag(arguments, 0, "reverse"), budget));
}

Value dict_sort(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("dictsort", {"case_sensitive", "by", "reverse"});
  if (input.dict() == nullptr) fault_type(input, "is no dictionary");
  const bool case_sensitive = flag(arguments, 0, "case_sensitive");
  const Value* by = arguments.find(1, "by");
  const std::string name = by == nullptr ? "key" : text_of(*by, "is no string").str();
  if (name != "key" && name != "value") throw Fault("dictsort: by is neither 'key' nor 'value'");
  std::vector<Keyed> keyed;
  const Value pairs = call_method(input, "items", {}, budget);
  for (const Value& pair : pairs.list()->items()) {
    const auto& both = pair.list()->items();
    keyed.push_back({folded(name == "key" ? both[0] : both[1], case_sensitive), pair});
  }
  return list_value(sorted_by_key(std::move(keyed), flag(arguments, 2, "reverse"), budget));
}

Value unique(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("unique", {"case_sensitive", "attribute"});
  const bool case_sensitive = flag(arguments, 0, "case_sensitive");
  Items result;
  Items seen;
  const auto list = items_of(input, budget);
  for (const Value& item : list->items()) {
    const Value key = folded(member(item, arguments.find(1, "attribute"), budget), case_sensitive);
    const bool is_new = std::none_of(seen.begin(), seen.end(),
                                     [&](const Value& other) { return equal(key, other, budget); });
    if (!is_new) continue;
    seen.push_back(key);
    result.push_back(item);
  }
  return list_value(std::move(result));
}

template <bool largest>
Value extreme(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("min or max", {"case_sensitive", "attribute"});
  const bool case_sensitive = flag(arguments, 0, "case_sensitive");
  const auto key = [&](const Value& item) {
    return folded(member(item, arguments.find(1, "attribute"), budget), case_sensitive);
  };
  const auto list = items_of(input, budget);
  if (list->items().empty()) return undefined_value("no least or largest item: the list is empty");
  const Value* best = nullptr;
  for (const Value& item : list->items()) {
    const int order = best == nullptr ? -1 : compare(key(item), key(*best), budget);
    if (best == nullptr || (largest ? order > 0 : order < 0)) best = &item;
  }
  return *best;
}

Value sum(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("sum", {"attribute", "start"});
  const Value* start = arguments.find(1, "start");
  Value total = start != nullptr ? *start : int_value(0);
  const auto list = items_of(input, budget);
  for (const Value& item : list->items()) {
    total = calculate(Arithmetic::add, total, member(item, arguments.find(0, "attribute"), budget),
                      budget);
  }
  return total;
}

constexpr std::array<Filter, 17> filters = {{
    {"first", first},
    {"last", last},
    {"list", as_list},
    {"items", dict_items},
    {"join", join},
    {"reverse", reverse},
    {"map", map},
    {"select", choose<false, true>},
    {"reject", choose<false, false>},
    {"selectattr", choose<true, true>},
    {"rejectattr", choose<true, false>},
    {"sort", sort},
    {"dictsort", dict_sort},
    {"unique", unique},
    {"min", extreme<false>},
    {"max", extreme<true>},
    {"sum", sum},
}};

}  // namespace

const Filter* find_list_filter(std::string_view name) {
  const auto at = std::find_if(filters.begin(), filters.end(),
                               [name](const Filter& filter) { return filter.name == name; });
  return at == filters.end() ? nullptr : &*at;
}

}  // namespace weft::chat
