// Python's ways to format text.
#pragma once

#include <string_view>

#include "text/chat/chat_methods.h"
#include "text/chat/chat_value.h"

namespace weft::chat {

/// format % values: a tuple, a dictionary for names in parentheses, or one value. Fault for what
/// Python refuses and for conversions that are not supported.
Value percent_format(const Text& format, const Value& values, Budget& budget);

/// format.format(arguments).
Value brace_format(const Text& format, const Arguments& arguments, Budget& budget);

}  // namespace weft::chat
