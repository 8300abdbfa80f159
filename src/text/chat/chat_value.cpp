#include "text/chat/chat_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace weft::chat {
namespace {

constexpr std::size_t max_steps = 20'000'000;
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

}  // namespace

void Budget::steps(std::size_t count) {
  steps_ += count;
  if (steps_ > max_steps) {
    throw Fault(fmt::format("the template takes more than {} steps", max_steps));
  }
}

void Budget::bytes(std::size_t count) {
  bytes_ += count;
  if (bytes_ > max_bytes) {
    throw Fault(fmt::format("the template makes more than {} bytes of text", max_bytes));
  }
}

List::List(std::vector<Value> items, bool is_tuple)
    : items_(std::move(items)), is_tuple_(is_tuple) {
  for (const Value& item : items_) depth_ = deeper(depth_, item);
}

void Dict::set(std::string_view key, Value value, bool key_from_user) {
  depth_ = deeper(depth_, value);
  user_keys_ = user_keys_ || key_from_user;
  if (const Value* there = find(key)) {
    const auto at = std::find_if(items_.begin(), items_.end(),
                                 [there](const auto& item) { return &item.second == there; });
    at->second = std::move(value);
    return;
  }
  items_.emplace_back(key, std::move(value));
  if (items_.size() <= few_members) return;
  for (std::size_t i = index_.size(); i < items_.size(); ++i) index_.emplace(items_[i].first, i);
}

const Value* Dict::find(std::string_view key) const {
  if (!index_.empty()) {
    const auto at = index_.find(key);
    return at == index_.end() ? nullptr : &items_[at->second].second;
  }
  for (const auto& [name, value] : items_) {
    if (name == key) return &value;
  }
  return nullptr;
}

Value Dict::key(std::size_t i) const { return string_value(items_[i].first, user_keys_); }

Value Loop::member(std::string_view name) const {
  const auto& items = items_->items();
  const auto count = static_cast<std::int64_t>(items.size());
  const auto neighbour = [&](std::int64_t i) {
    if (i < 0 || i >= count) return undefined_value("there is no such item in the loop");
    return items[static_cast<std::size_t>(i)];
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
  if (name == "depth") return int_value(1);  // counts the levels of recursive loops only
  if (name == "depth0") return int_value(0);
  throw Fault(fmt::format("loop.{} is not supported", name));
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
Value list_value(std::vector<Value> items, bool is_tuple) {
  return {std::make_shared<const List>(std::move(items), is_tuple)};
}
Value dict_value(Dict dict) { return {std::make_shared<const Dict>(std::move(dict))}; }
Value method_value(std::string_view name, Value self) {
  return {std::make_shared<const Function>(Function{std::string(name), std::move(self), nullptr})};
}

std::string_view type_name(const Value& value) {
  if (const List* list = value.list(); list != nullptr && list->is_tuple()) return "tuple";
  constexpr std::array<std::string_view, 11> names = {"undefined", "NoneType", "bool",    "int",
                                                      "float",     "str",      "list",    "dict",
                                                      "namespace", "loop",     "function"};
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
