// Members of values: value.name, value[key] and value[start:stop:step].
#include <fmt/format.h>

#include <algorithm>

#include "text/chat/chat_methods.h"
#include "text/chat/chat_operators.h"
#include "text/chat/chat_strings.h"

namespace weft::chat {
namespace {

Value missing(const Value& value, std::string_view name) {
  return undefined_value(fmt::format("'{}' has no member '{}'", type_name(value), name));
}

std::optional<Value> member(const Value& value, std::string_view name) {
  if (const Loop* loop = value.loop()) return loop->member(name);
  if (const Dict* dict = value.dict()) {
    if (const Value* found = dict->find(name)) return *found;
  } else if (const Namespace* space = value.space()) {
    const auto found = space->members.find(name);
    if (found != space->members.end()) return found->second;
  }
  return std::nullopt;
}

// The positions that start:stop:step selects of `count`: Python's slice.indices.
struct Positions {
  std::int64_t start;
  std::int64_t stop;
  std::int64_t step;
};

Positions positions(const Value& start, const Value& stop, const Value& step, std::int64_t count) {
  const auto bound = [&](const Value& value, std::int64_t otherwise, std::int64_t low,
                         std::int64_t high) {
    if (value.is_none()) return otherwise;
    std::int64_t at = int_of(value, "is no index of a slice");
    if (at < 0) at = at < -count ? low - 1 : at + count;
    return std::clamp(at, low, high);
  };
  Positions result{0, 0, step.is_none() ? 1 : int_of(step, "is no step of a slice")};
  if (result.step == 0) throw Fault("the step of a slice is zero");
  const bool up = result.step > 0;
  const std::int64_t low = up ? 0 : -1;
  const std::int64_t high = up ? count : count - 1;
  result.start = bound(start, up ? low : high, low, high);
  result.stop = bound(stop, up ? high : low, low, high);
  // No step is longer than the list; this keeps additions from overflowing.
  result.step = std::clamp(result.step, -count - 1, count + 1);
  return result;
}

template <class Visit>
void visit_positions(const Positions& p, Visit visit) {
  for (std::int64_t i = p.start; p.step > 0 ? i < p.stop : i > p.stop; i += p.step) {
    visit(static_cast<std::size_t>(i));
  }
}

}  // namespace

Value attribute(const Value& value, std::string_view name) {
  if (value.is_undefined()) fault_type(value, "");
  if (auto found = find_method(value, name)) return *found;
  if (auto found = member(value, name)) return *found;
  return missing(value, name);
}

Value subscript(const Value& value, const Value& key, Budget& budget) {
  if (value.is_undefined()) fault_type(value, "");
  if (const Text* name = key.text()) {
    if (auto found = member(value, name->str())) return *found;
    if (auto found = find_method(value, name->str())) return *found;
    return missing(value, name->str());
  }
  if (const Dict* dict = value.dict()) {
    const bool can_be_key = key.list() == nullptr && key.dict() == nullptr;
    const Value* found =
        can_be_key || (key.list() != nullptr && key.list()->is_tuple()) ? dict->find(key) : nullptr;
    return found != nullptr ? *found : missing(value, "of that key");
  }
  if (!key.is<std::int64_t>() && !key.is<bool>()) return missing(value, "of that type");
  std::int64_t index = int_of(key, "");
  const Text* text = value.text();
  const List* list = value.list();
  if (text == nullptr && (list == nullptr || list->is_view())) {
    return missing(value, std::to_string(index));
  }
  const auto count = static_cast<std::int64_t>(length(value, budget));
  if (index < 0) index += count;
  if (index < 0 || index >= count) return missing(value, std::to_string(index));
  const auto at = static_cast<std::size_t>(index);
  if (list != nullptr) return list->items()[at];
  budget.steps(text->size() / 16);
  const std::size_t begin = char_offset(text->str(), at);
  return string_value(
      text->part(begin, begin + char_offset(std::string_view(text->str()).substr(begin), 1)));
}

Value slice(const Value& value, const Value& start, const Value& stop, const Value& step,
            Budget& budget) {
  const Text* text = value.text();
  const List* list = value.list();
  if (text == nullptr && (list == nullptr || list->is_view())) {
    fault_type(value, "cannot be sliced");
  }
  const Positions p =
      positions(start, stop, step, static_cast<std::int64_t>(length(value, budget)));
  if (list != nullptr) {
    std::vector<Value> items;
    visit_positions(p, [&](std::size_t i) { items.push_back(list->items()[i]); });
    budget.bytes(items.size() * sizeof(Value));
    return list_value(std::move(items), list->kind());
  }
  budget.bytes(text->size());
  if (p.step == 1) {
    if (p.start >= p.stop) return string_value(text->part(0, 0));
    const auto begin = static_cast<std::size_t>(p.start);
    const std::size_t from = char_offset(text->str(), begin);
    const std::string_view rest = std::string_view(text->str()).substr(from);
    return string_value(
        text->part(from, from + char_offset(rest, static_cast<std::size_t>(p.stop) - begin)));
  }
  const std::shared_ptr<const List> characters = items_of(value, budget);
  Text result;
  visit_positions(p, [&](std::size_t i) { result.append(*characters->items()[i].text()); });
  result.set_markup(text->is_markup());
  return string_value(std::move(result));
}

}  // namespace weft::chat
