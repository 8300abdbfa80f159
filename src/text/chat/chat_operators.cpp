#include "text/chat/chat_operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/chat/chat_format.h"
#include "text/chat/chat_print.h"
#include "text/chat/chat_strings.h"

namespace weft::chat {
namespace {

constexpr std::size_t bytes_per_step = 64;  // of text that is only looked at

bool is_float(const Value& value) { return value.is<double>(); }

[[noreturn]] void overflow() { throw Fault("an integer of more than 64 bits"); }

[[noreturn]] void cannot(std::string_view what, const Value& a, const Value& b) {
  if (a.is_undefined()) fault_type(a, what);
  if (b.is_undefined()) fault_type(b, what);
  throw Fault(fmt::format("cannot {} '{}' and '{}'", what, type_name(a), type_name(b)));
}

// Rounds towards minus infinity, as Python does.
std::int64_t floor_quotient(std::int64_t a, std::int64_t b) {
  if (b == 0) throw Fault("division by zero");
  if (b == -1) {
    if (a == std::numeric_limits<std::int64_t>::min()) overflow();
    return -a;
  }
  const std::int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  if (base == 0 || base == 1 || base == -1) {
    return exponent == 0 || base == 1 ? 1 : base == 0 ? 0 : exponent % 2 == 0 ? 1 : -1;
  }
  for (; exponent > 0; --exponent) {
    if (__builtin_mul_overflow(result, base, &result)) overflow();
  }
  return result;
}

Value on_integers(Arithmetic op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool too_large = false;
  switch (op) {
    case Arithmetic::add:
      too_large = __builtin_add_overflow(a, b, &result);
      break;
    case Arithmetic::subtract:
      too_large = __builtin_sub_overflow(a, b, &result);
      break;
    case Arithmetic::multiply:
      too_large = __builtin_mul_overflow(a, b, &result);
      break;
    case Arithmetic::divide:
      if (b == 0) throw Fault("division by zero");
      return float_value(static_cast<double>(a) / static_cast<double>(b));
    case Arithmetic::floor_divide:
      result = floor_quotient(a, b);
      break;
    case Arithmetic::modulo:
      result = b == -1 ? 0 : a - floor_quotient(a, b) * b;
      break;
    case Arithmetic::power:
      if (b < 0 && a == 0) throw Fault("0 to a negative power");
      if (b < 0) return float_value(std::pow(static_cast<double>(a), static_cast<double>(b)));
      result = integer_power(a, b);
      break;
  }
  if (too_large) overflow();
  return int_value(result);
}

Value on_floats(Arithmetic op, double a, double b) {
  const bool divides =
      op == Arithmetic::divide || op == Arithmetic::floor_divide || op == Arithmetic::modulo;
  if (divides && b == 0) throw Fault("division by zero");
  switch (op) {
    case Arithmetic::add:
      return float_value(a + b);
    case Arithmetic::subtract:
      return float_value(a - b);
    case Arithmetic::multiply:
      return float_value(a * b);
    case Arithmetic::divide:
      return float_value(a / b);
    case Arithmetic::floor_divide:
      return float_value(std::floor(a / b));
    case Arithmetic::modulo: {
      const double rest = std::fmod(a, b);
      return float_value(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
    }
    case Arithmetic::power:
      break;
  }
  if (a == 0 && b < 0) throw Fault("0 to a negative power");
  const double result = std::pow(a, b);
  if (!std::isfinite(result) && std::isfinite(a) && std::isfinite(b)) {
    throw Fault("a power that is no float");
  }
  return float_value(result);
}

// A string or list, `count` times.
std::optional<Value> repeated(const Value& value, const Value& times, Budget& budget) {
  if (!times.is<std::int64_t>() && !times.is<bool>()) return std::nullopt;
  const auto count =
      static_cast<std::size_t>(std::clamp<std::int64_t>(int_of(times, ""), 0, 1 << 30));
  if (const Text* text = value.text()) {
    if (text->empty()) return value;
    Text result;
    result.set_markup(text->is_markup());
    budget.bytes(text->size() * count);
    for (std::size_t i = 0; i < count; ++i) result.append(*text);
    return string_value(std::move(result));
  }
  if (const List* list = value.list(); list != nullptr && (list->is_list() || list->is_tuple())) {
    std::vector<Value> items;
    budget.bytes(list->items().size() * sizeof(Value) * count);
    for (std::size_t i = 0; i < count && !list->items().empty(); ++i) {
      items.insert(items.end(), list->items().begin(), list->items().end());
    }
    return list_value(std::move(items), list->kind());
  }
  return std::nullopt;
}

std::optional<Value> added(const Value& a, const Value& b, Budget& budget) {
  if (a.text() != nullptr && b.text() != nullptr) return concatenated(a, b, budget);
  const List* left = a.list();
  const List* right = b.list();
  if (left == nullptr || right == nullptr || left->kind() != right->kind() ||
      !(left->is_list() || left->is_tuple())) {
    return std::nullopt;
  }
  budget.bytes((left->items().size() + right->items().size()) * sizeof(Value));
  std::vector<Value> items = left->items();
  items.insert(items.end(), right->items().begin(), right->items().end());
  return list_value(std::move(items), left->kind());
}

bool same_items(const List& a, const List& b, Budget& budget) {
  if (&a == &b) return true;
  return a.kind() == b.kind() && a.kind() != List::Kind::values &&
         a.items().size() == b.items().size() &&
         std::equal(a.items().begin(), a.items().end(), b.items().begin(),
                    [&](const Value& x, const Value& y) { return equal(x, y, budget); });
}

bool same_members(const Dict& a, const Dict& b, Budget& budget) {
  if (&a == &b) return true;
  if (a.items().size() != b.items().size()) return false;
  return std::all_of(a.items().begin(), a.items().end(), [&](const auto& item) {
    const Value* other = b.find(item.id);
    return other != nullptr && equal(item.value, *other, budget);
  });
}

int sign(auto a, auto b) { return a < b ? -1 : b < a ? 1 : 0; }

}  // namespace

std::optional<double> number(const Value& value) {
  if (const auto* real = std::get_if<double>(&value.data)) return *real;
  if (value.is<std::int64_t>() || value.is<bool>()) return static_cast<double>(int_of(value, ""));
  return std::nullopt;
}

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (const Text* text = value.text()) return !text->empty();
  if (const List* list = value.list()) return !list->items().empty();
  if (const Dict* dict = value.dict()) return !dict->items().empty();
  if (const auto n = number(value)) return *n != 0;
  return true;
}

bool equal(const Value& a, const Value& b, Budget& budget) {
  budget.steps(1);
  const auto x = number(a);
  const auto y = number(b);
  if (x && y) return is_float(a) || is_float(b) ? *x == *y : int_of(a, "") == int_of(b, "");
  if (a.data.index() != b.data.index()) return false;
  if (a.is_undefined() || a.is_none()) return true;
  if (const Text* text = a.text()) {
    if (text->size() == b.text()->size()) budget.steps(text->size() / bytes_per_step);
    return text->str() == b.text()->str();
  }
  if (const List* list = a.list()) return same_items(*list, *b.list(), budget);
  if (const Dict* dict = a.dict()) return same_members(*dict, *b.dict(), budget);
  return a.space() == b.space() && a.loop() == b.loop() && a.function() == b.function() &&
         a.iterator() == b.iterator();
}

int compare(const Value& a, const Value& b, Budget& budget) {
  budget.steps(1);
  const auto x = number(a);
  const auto y = number(b);
  if (x && y) {
    return is_float(a) || is_float(b) ? sign(*x, *y) : sign(int_of(a, ""), int_of(b, ""));
  }
  if (a.text() != nullptr && b.text() != nullptr) return sign(a.text()->str(), b.text()->str());
  const List* left = a.list();
  const List* right = b.list();
  if (left == nullptr || right == nullptr || left->kind() != right->kind() ||
      !(left->is_list() || left->is_tuple())) {
    cannot("compare", a, b);
  }
  const std::size_t common = std::min(left->items().size(), right->items().size());
  for (std::size_t i = 0; i < common; ++i) {
    if (equal(left->items()[i], right->items()[i], budget)) continue;
    return compare(left->items()[i], right->items()[i], budget);
  }
  return sign(left->items().size(), right->items().size());
}

bool contains(const Value& container, const Value& item, Budget& budget) {
  if (container.is_undefined()) return false;
  if (const Text* text = container.text()) {
    budget.steps(text->size() / bytes_per_step);
    return find_bytes(text->str(), text_of(item, "cannot be looked for in a string").str()) !=
           std::string::npos;
  }
  if (const Dict* dict = container.dict()) return dict->find(item) != nullptr;
  const auto is_item = [&](const Value& other) { return equal(item, other, budget); };
  if (Iterator* iterator = container.iterator()) {
    while (const auto other = iterator->next()) {
      if (is_item(*other)) return true;
    }
    return false;
  }
  const List* list = container.list();
  if (list == nullptr) fault_type(container, "is no container");
  return std::any_of(list->items().begin(), list->items().end(), is_item);
}

Value calculate(Arithmetic op, const Value& a, const Value& b, Budget& budget) {
  const auto x = number(a);
  const auto y = number(b);
  if (x && y) {
    if (is_float(a) || is_float(b)) return on_floats(op, *x, *y);
    return on_integers(op, int_of(a, ""), int_of(b, ""));
  }
  std::optional<Value> result;
  if (op == Arithmetic::add) result = added(a, b, budget);
  if (op == Arithmetic::multiply) result = repeated(a, b, budget);
  if (op == Arithmetic::multiply && !result) result = repeated(b, a, budget);
  if (op == Arithmetic::modulo && a.text() != nullptr) return percent_format(*a.text(), b, budget);
  if (!result) cannot("calculate with", a, b);
  return std::move(*result);
}

Value negated(const Value& value) {
  if (const auto* real = std::get_if<double>(&value.data)) return float_value(-*real);
  return on_integers(Arithmetic::subtract, 0, int_of(value, "cannot be negated"));
}

Value concatenated(const Value& a, const Value& b, Budget& budget) {
  Text left = to_text(a, budget);
  Text right = to_text(b, budget);
  const bool is_markup = left.is_markup() || right.is_markup();
  Text result = is_markup ? escaped(left) : std::move(left);
  result.append(is_markup ? escaped(right) : right);
  budget.bytes(result.size());
  return string_value(std::move(result));
}

std::size_t length(const Value& value, Budget& budget) {
  if (value.is_undefined()) return 0;
  if (const Text* text = value.text()) {
    budget.steps(text->size() / bytes_per_step);
    return char_count(text->str());
  }
  if (const List* list = value.list()) return list->items().size();
  if (const Dict* dict = value.dict()) return dict->items().size();
  if (const Loop* loop = value.loop()) {
    return static_cast<std::size_t>(int_of(*loop->member("length"), ""));
  }
  fault_type(value, "has no length");
}

std::shared_ptr<const List> items_of(const Value& value, Budget& budget) {
  if (const auto* list = std::get_if<std::shared_ptr<const List>>(&value.data)) return *list;
  std::vector<Value> items;
  if (const Dict* dict = value.dict()) {
    for (const Dict::Item& item : dict->items()) items.push_back(item.key);
  } else if (Iterator* iterator = value.iterator()) {
    while (auto item = iterator->next()) items.push_back(std::move(*item));
  } else if (const Text* text = value.text()) {
    budget.steps(text->size());
    for (std::size_t pos = 0; pos < text->size();) {
      const std::size_t end = pos + char_offset(std::string_view(text->str()).substr(pos), 1);
      items.push_back(string_value(text->part(pos, end)));
      pos = end;
    }
  } else if (!value.is_undefined()) {
    fault_type(value, "cannot be iterated over");
  }
  budget.steps(items.size());
  return std::make_shared<const List>(std::move(items));
}

}  // namespace weft::chat
