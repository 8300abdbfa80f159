// Values as text: Python's str and repr, and JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "text/chat/chat_value.h"

namespace weft::chat {

/// str(value); nothing for an undefined one.
Text to_text(const Value& value, Budget& budget);

/// How json.dumps writes: the keyword arguments of transformers' "tojson".
struct JsonStyle {
  bool ascii = false;
  std::optional<std::string> indent;  ///< one level
  std::string between_items = ", ";
  std::string behind_key = ": ";
  bool sort_keys = false;
};

/// The value as JSON. Fault for what JSON has not.
Text to_json(const Value& value, const JsonStyle& style, Budget& budget);

/// Shortest decimal form of a float, as Python writes it.
std::string float_text(double value);

}  // namespace weft::chat
