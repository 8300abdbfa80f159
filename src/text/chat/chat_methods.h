// Methods of strings, lists and dictionaries.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/chat/chat_value.h"

namespace weft::chat {

/// Arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// The argument at this position or of this name; null if it is not given.
  [[nodiscard]] const Value* find(std::size_t position, std::string_view name) const;
  /// Fault if there are more positional ones than names, or others than these names.
  void allow(std::string_view callee, std::initializer_list<std::string_view> names) const;
};

/// The method of that name, to be called later: undefined if it would change the value, nothing if
/// a Python value of this type has none.
std::optional<Value> find_method(const Value& self, std::string_view name);

/// self.name(arguments). Fault if it is not supported.
Value call_method(const Value& self, std::string_view name, const Arguments& arguments,
                  Budget& budget);

}  // namespace weft::chat
