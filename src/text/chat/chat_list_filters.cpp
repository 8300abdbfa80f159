// Filters that work on the items of a list.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <optional>

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
Value member(const Value& item, const Value* path, Budget& budget,
             const Value* otherwise = nullptr) {
  if (path == nullptr || path->is_none()) return item;
  if (path->text() == nullptr) {
    const Value result = subscript(item, *path, budget);
    return result.is_undefined() && otherwise != nullptr ? *otherwise : result;
  }
  Value result = item;
  for (const Text& part : split(*path->text(), ".", -1, budget)) {
    std::int64_t position = 0;
    const char* const end = part.str().data() + part.size();
    const auto [stop, error] = std::from_chars(part.str().data(), end, position);
    const bool is_number = error == std::errc() && stop == end && part.str()[0] != '-';
    result = subscript(result, is_number ? int_value(position) : string_value(part), budget);
    if (result.is_undefined() && otherwise != nullptr) result = *otherwise;
  }
  return result;
}

Value folded(const Value& value, bool case_sensitive) {
  return case_sensitive || value.text() == nullptr ? value : string_value(lower(*value.text()));
}

// A function that gives the items of `input` one by one, each when it is asked for.
std::function<std::optional<Value>()> each(const Value& input, Budget& budget) {
  if (input.iterator() != nullptr) {
    return [input, &budget]() {
      budget.steps(1);
      return input.iterator()->next();
    };
  }
  return [list = items_of(input, budget), at = std::size_t{0},
          &budget]() mutable -> std::optional<Value> {
    budget.steps(1);
    if (at == list->items().size()) return std::nullopt;
    return list->items()[at++];
  };
}

// As `each`, but what is false has no items, whatever it is; and nothing is looked at before the
// first item is asked for.
std::function<std::optional<Value>()> each_if_true(const Value& input, Budget& budget) {
  return [input, &budget,
          next = std::function<std::optional<Value>()>()]() mutable -> std::optional<Value> {
    if (!next && !is_true(input)) return std::nullopt;
    if (!next) next = each(input, budget);
    return next();
  };
}

Value first(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("first", {});
  const auto item = each(input, budget)();
  return item ? *item : undefined_value("no first item: the list is empty");
}

Value last(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("last", {});
  if (input.iterator() != nullptr) fault_type(input, "cannot be read from its end");
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
  return iterator_value([input, at = std::size_t{0}, &budget]() mutable -> std::optional<Value> {
    budget.steps(1);
    if (input.is_undefined()) return std::nullopt;
    const Dict* dict = input.dict();
    if (dict == nullptr) fault_type(input, "is no dictionary");
    if (at == dict->items().size()) return std::nullopt;
    const Dict::Item& item = dict->items()[at++];
    return tuple_value({item.key, item.value});
  });
}

Value join(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("join", {"d", "attribute"});
  const Value* separator = arguments.find(0, "d");
  const Value* path = arguments.find(1, "attribute");
  const Text between = separator == nullptr ? Text() : to_text(*separator, budget);
  Text result;
  bool is_first = true;
  const auto next =
      path != nullptr && !path->is_none() ? each_if_true(input, budget) : each(input, budget);
  while (const auto item = next()) {
    if (!std::exchange(is_first, false)) result.append(between);
    const Text text = to_text(member(*item, path, budget), budget);
    budget.bytes(between.size() + text.size());
    result.append(text);
  }
  return string_value(std::move(result));
}

Value reverse(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("reverse", {});
  Items result = items(input, budget);
  std::reverse(result.begin(), result.end());
  if (input.iterator() != nullptr) return list_value(std::move(result));
  if (input.text() == nullptr) return iterator_value(each(list_value(std::move(result)), budget));
  Text text;
  for (const Value& character : result) text.append(*character.text());
  text.set_markup(input.text()->is_markup());
  return string_value(std::move(text));
}

// map(attribute="a.b", default=…), or map("filter", arguments…).
Value map(const Value& input, const Arguments& arguments, Budget& budget) {
  const auto next = each_if_true(input, budget);
  return iterator_value([next, arguments, &budget]() -> std::optional<Value> {
    const std::optional<Value> item = next();
    if (!item) return std::nullopt;
    if (arguments.positional.empty()) {
      arguments.allow("map", {"attribute", "default"});
      const Value* path = arguments.find(0, "attribute");
      const Value* otherwise = arguments.find(1, "default");
      if (path == nullptr) throw Fault("map: an argument is missing");
      if (otherwise != nullptr && otherwise->is_none()) otherwise = nullptr;
      return member(*item, path, budget, otherwise);
    }
    const std::string& name = text_of(arguments.positional.front(), "is no name").str();
    const Filter* filter = find_filter(name);
    if (filter == nullptr) fault_filter(name);
    Arguments rest = arguments;
    rest.positional.erase(rest.positional.begin());
    return filter->apply(*item, rest, budget);
  });
}

// What select and its kin ask of an item.
struct Question {
  std::optional<Value> path;  // to what is asked about
  const Test* test = nullptr;
  Arguments arguments;

  Question(Arguments given, bool by_member) : arguments(std::move(given)) {
    if (by_member && !(path = take())) throw Fault("selectattr: an argument is missing");
    const std::optional<Value> name = take();
    if (!name) return;
    test = find_test(text_of(*name, "is no name of a test").str());
    if (test == nullptr) fault_test(name->text()->str());
  }

  std::optional<Value> take() {
    if (arguments.positional.empty()) return std::nullopt;
    Value value = arguments.positional.front();
    arguments.positional.erase(arguments.positional.begin());
    return value;
  }

  bool holds(const Value& item, Budget& budget) const {
    const Value value = member(item, path ? &*path : nullptr, budget);
    return test == nullptr ? is_true(value) : test->holds(value, arguments, budget);
  }
};

// select, reject: by the item itself; selectattr, rejectattr: by a member of it. The test is the
// next argument; without one, the value's truth.
template <bool by_member, bool keeps>
Value choose(const Value& input, const Arguments& arguments, Budget& budget) {
  return iterator_value([input, next = each_if_true(input, budget), arguments, &budget,
                         question = std::optional<Question>()]() mutable -> std::optional<Value> {
    if (!is_true(input)) return std::nullopt;
    if (!question) question.emplace(arguments, by_member);
    while (auto item = next()) {
      if (question->holds(*item, budget) == keeps) return item;
    }
    return std::nullopt;
  });
}

// Lists of `count` items each, the last filled up with `fill_with`.
Value batch(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("batch", {"linecount", "fill_with"});
  const Value* given = arguments.find(0, "linecount");
  const Value* fill = arguments.find(1, "fill_with");
  if (given == nullptr) throw Fault("batch: an argument is missing");
  const std::int64_t count = int_of(*given, "is no integer");
  Items result;
  Items line;
  for (Value& item : items(input, budget)) {
    if (static_cast<std::int64_t>(line.size()) == count) {
      result.push_back(list_value(std::exchange(line, {})));
    }
    line.push_back(std::move(item));
  }
  if (!line.empty()) {
    while (fill != nullptr && !fill->is_none() && static_cast<std::int64_t>(line.size()) < count) {
      budget.bytes(sizeof(Value));
      line.push_back(*fill);
    }
    result.push_back(list_value(std::move(line)));
  }
  return iterator_value(each(list_value(std::move(result)), budget));
}

// `slices` lists of nearly the same length, the shorter ones filled up with `fill_with`.
Value slices(const Value& input, const Arguments& arguments, Budget& budget) {
  arguments.allow("slice", {"slices", "fill_with"});
  const Value* given = arguments.find(0, "slices");
  const Value* fill = arguments.find(1, "fill_with");
  if (given == nullptr) throw Fault("slice: an argument is missing");
  const std::int64_t count = int_of(*given, "is no integer");
  const Items all = items(input, budget);
  if (count == 0) throw Fault("slice: division by zero");
  const auto length = static_cast<std::int64_t>(all.size());
  Items result;
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    budget.bytes(sizeof(Value));
    const std::int64_t end = at + length / count + (i < length % count ? 1 : 0);
    Items line(all.begin() + at, all.begin() + end);
    if (fill != nullptr && !fill->is_none() && i >= length % count) line.push_back(*fill);
    result.push_back(list_value(std::move(line)));
    at = end;
  }
  return iterator_value(each(list_value(std::move(result)), budget));
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
    Items keys;
    const Value* path = arguments.find(2, "attribute");
    if (path != nullptr && path->text() != nullptr) {
      for (const Text& one : split(*path->text(), ",", -1, budget)) {
        const Value part = string_value(one);
        keys.push_back(folded(member(item, &part, budget), case_sensitive));
      }
    } else {
      keys.push_back(folded(member(item, path, budget), case_sensitive));
    }
    keyed.push_back({keys.size() == 1 ? keys.front() : list_value(std::move(keys)), item});
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
  return iterator_value([next = each(input, budget), arguments, &budget,
                         seen = Dict()]() mutable -> std::optional<Value> {
    while (auto item = next()) {
      const Value key = folded(member(*item, arguments.find(1, "attribute"), budget),
                               flag(arguments, 0, "case_sensitive"));
      if (seen.find(key) != nullptr) continue;
      budget.bytes(sizeof(Dict::Item));
      seen.set(key, none_value());
      return item;
    }
    return std::nullopt;
  });
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
  if (total.text() != nullptr) throw Fault("sum: strings cannot be summed up");
  const auto list = items_of(input, budget);
  for (const Value& item : list->items()) {
    total = calculate(Arithmetic::add, total, member(item, arguments.find(0, "attribute"), budget),
                      budget);
  }
  return total;
}

constexpr std::array<Filter, 19> list_filter_table = {{
    {"batch", batch},
    {"slice", slices},
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
  const auto at = std::find_if(list_filter_table.begin(), list_filter_table.end(),
                               [name](const Filter& filter) { return filter.name == name; });
  return at == list_filter_table.end() ? nullptr : &*at;
}

}  // namespace weft::chat
