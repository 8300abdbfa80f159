#include "text/chat/chat_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace weft::chat {
namespace {

constexpr std::size_t max_bytes = std::size_t{256} << 20;
constexpr std::size_t few_members = 8;  // that many are searched one by one

int depth_of(const Value& value) {
  if (const List* list = value.list()) return list->depth();
  if (const Dict* dict = value.dict()) return dict->depth();
  return 0;
}

int deeper(int depth, const Value& value) {
  const int result = std::max(depth, depth_of(value) + 1);
  if (result > max_value_depth) {
    throw Fault(fmt::format("lists and dictionaries nested more than {} deep", max_value_depth));
  }
  return result;
}

// What tells a key from those that are not equal to it: a string is its own; the byte that others
// start with is in no string.
std::string id_of(const Value& key) {
  if (const Text* text = key.text()) return text->str();
  if (key.is_none()) return "\xFFnone";
  if (key.is_undefined()) return "\xFFundefined";
  if (key.is<std::int64_t>() || key.is<bool>()) return fmt::format("\xFF{}", int_of(key, ""));
  if (const auto* real = std::get_if<double>(&key.data)) {
    const bool is_whole = std::floor(*real) == *real && std::fabs(*real) < 9e18;
    return is_whole ? fmt::format("\xFF{}", static_cast<std::int64_t>(*real))
                    : fmt::format("\xFF{}", *real);
  }
  if (const List* list = key.list(); list != nullptr && list->is_tuple()) {
    std::string id = "\xFF(";
    for (const Value& item : list->items()) {
      const std::string part = id_of(item);
      id += fmt::format("{}:{},", part.size(), part);
    }
    return id;
  }
  fault_type(key, "cannot be a key of a dictionary");
}

}  // namespace

void Budget::steps(std::size_t count) {
  steps_ += count;
  if (steps_ > most_steps_) {
    throw Fault(fmt::format("the template takes more than {} steps", most_steps_));
  }
}

void Budget::bytes(std::size_t count) {
  bytes_ += count;
  // Whoever may take fewer steps may make less text, too.
  const std::size_t most = max_bytes / (max_steps / most_steps_);
  if (bytes_ > most) {
    throw Fault(fmt::format("the template makes more than {} bytes of text", most));
  }
}

List::List(std::vector<Value> items, Kind kind) : items_(std::move(items)), kind_(kind) {
  for (const Value& item : items_) depth_ = deeper(depth_, item);
}

void Dict::set(Value key, Value value) {
  depth_ = deeper(depth_, value);
  std::string id = id_of(key);
  if (const std::size_t at = position(id); at < items_.size()) {
    items_[at].value = std::move(value);
    return;
  }
  items_.push_back({std::move(key), std::move(value), std::move(id)});
  if (items_.size() <= few_members) return;
  for (std::size_t i = index_.size(); i < items_.size(); ++i) index_.emplace(items_[i].id, i);
}

void Dict::set(std::string_view key, Value value, bool key_from_user) {
  set(string_value(key, key_from_user), std::move(value));
}

std::size_t Dict::position(std::string_view id) const {
  if (!index_.empty()) {
    const auto at = index_.find(id);
    return at == index_.end() ? items_.size() : at->second;
  }
  const auto at =
      std::find_if(items_.begin(), items_.end(), [id](const Item& item) { return item.id == id; });
  return static_cast<std::size_t>(at - items_.begin());
}

const Value* Dict::find(std::string_view key) const {
  const std::size_t at = position(key);
  return at < items_.size() ? &items_[at].value : nullptr;
}

const Value* Dict::find(const Value& key) const {
  return key.text() != nullptr ? find(key.text()->str()) : find(id_of(key));
}

std::optional<Value> Loop::member(std::string_view name) const {
  const auto& items = items_->items();
  const auto count = static_cast<std::int64_t>(items.size());
  const auto neighbour = [&](std::int64_t i) {
    if (i < 0 || i >= count) return undefined_value("there is no such item in the loop");
    return Value(items[static_cast<std::size_t>(i)]);
  };
  if (name == "index") return int_value(index_ + 1);
  if (name == "index0") return int_value(index_);
  if (name == "first") return bool_value(index_ == 0);
  if (name == "last") return bool_value(index_ + 1 == count);
  if (name == "length") return int_value(count);
  if (name == "revindex") return int_value(count - index_);
  if (name == "revindex0") return int_value(count - index_ - 1);
  if (name == "previtem") return neighbour(index_ - 1);
  if (name == "nextitem") return neighbour(index_ + 1);
  if (name == "depth") return int_value(depth_);
  if (name == "depth0") return int_value(depth_ - 1);
  if (name == "changed") throw Fault("loop.changed is not supported");
  return std::nullopt;
}

Value undefined_value(std::string what) {
  return {Undefined{std::make_shared<const std::string>(std::move(what))}};
}
Value none_value() { return {None{}}; }
Value bool_value(bool value) { return {value}; }
Value int_value(std::int64_t value) { return {value}; }
Value float_value(double value) { return {value}; }
Value string_value(Text text) { return {std::make_shared<const Text>(std::move(text))}; }
Value string_value(std::string_view text, bool from_user) {
  return string_value(Text(std::string(text), from_user));
}
Value list_value(std::vector<Value> items, List::Kind kind) {
  return {std::make_shared<const List>(std::move(items), kind)};
}
Value tuple_value(std::vector<Value> items) {
  return list_value(std::move(items), List::Kind::tuple);
}
Value iterator_value(std::function<std::optional<Value>()> next) {
  return {std::make_shared<Iterator>(Iterator{std::move(next)})};
}
Value dict_value(Dict dict) { return {std::make_shared<const Dict>(std::move(dict))}; }
Value method_value(std::string_view name, Value self) {
  return {std::make_shared<const Function>(Function{std::string(name), std::move(self)})};
}

Value with_source(const Value& value, Source source) {
  if (const Text* text = value.text()) return string_value(text->from(source));
  if (const List* list = value.list()) {
    std::vector<Value> items;
    items.reserve(list->items().size());
    for (const Value& item : list->items()) items.push_back(with_source(item, source));
    return list_value(std::move(items), list->kind());
  }
  if (const Dict* dict = value.dict()) {
    Dict result;
    for (const Dict::Item& item : dict->items()) {
      result.set(with_source(item.key, source), with_source(item.value, source));
    }
    return dict_value(std::move(result));
  }
  return value;
}

std::string_view type_name(const Value& value) {
  constexpr std::array<std::string_view, 6> lists = {"list",      "tuple",       "range",
                                                     "dict_keys", "dict_values", "dict_items"};
  if (const List* list = value.list()) return lists[static_cast<std::size_t>(list->kind())];
  constexpr std::array<std::string_view, 12> names = {
      "undefined", "NoneType", "bool",      "int",  "float",    "str",
      "list",      "dict",     "namespace", "loop", "function", "generator"};
  return names[value.data.index()];
}

void fault_type(const Value& value, std::string_view what) {
  if (const auto* undefined = std::get_if<Undefined>(&value.data)) {
    throw Fault(undefined->what ? *undefined->what : "an undefined value is used");
  }
  throw Fault(fmt::format("'{}' {}", type_name(value), what));
}

std::int64_t int_of(const Value& value, std::string_view what) {
  if (const auto* number = std::get_if<std::int64_t>(&value.data)) return *number;
  if (const auto* flag = std::get_if<bool>(&value.data)) return *flag ? 1 : 0;
  fault_type(value, what);
}

const Text& text_of(const Value& value, std::string_view what) {
  if (const Text* text = value.text()) return *text;
  fault_type(value, what);
}

}  // namespace weft::chat
