// Operators of the chat template language, with Python's meaning.
#pragma once

#include <optional>
#include <string_view>

#include "text/chat/chat_value.h"

namespace weft::chat {

bool is_true(const Value& value);
bool equal(const Value& a, const Value& b, Budget& budget);

/// Negative, zero or positive. Fault if the two have no order.
int compare(const Value& a, const Value& b, Budget& budget);

/// item in container.
bool contains(const Value& container, const Value& item, Budget& budget);

enum class Arithmetic { add, subtract, multiply, divide, floor_divide, modulo, power };
Value calculate(Arithmetic op, const Value& a, const Value& b, Budget& budget);
Value negated(const Value& value);

/// str(a) + str(b).
Value concatenated(const Value& a, const Value& b, Budget& budget);

/// len(value). Fault if it has none.
std::size_t length(const Value& value, Budget& budget);

/// What a loop over the value visits: items, keys or characters. Fault if it has none.
std::shared_ptr<const List> items_of(const Value& value, Budget& budget);

/// value.name: a method or a member; undefined if there is neither.
Value attribute(const Value& value, std::string_view name);

/// value[key]
Value subscript(const Value& value, const Value& key, Budget& budget);

/// value[start:stop:step], each possibly none.
Value slice(const Value& value, const Value& start, const Value& stop, const Value& step,
            Budget& budget);

/// Is it int, float or bool? As a float then.
std::optional<double> number(const Value& value);

}  // namespace weft::chat
