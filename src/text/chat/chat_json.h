// JSON as values of the chat template language.
#pragma once

#include <string_view>

#include "text/chat/chat_value.h"

namespace weft::chat {

/// The value of a JSON text, members in their order; all strings and keys are a user's. Fault if
/// it is not strict JSON, is nested too deeply or has an integer of more than 64 bits.
Value value_from_json(std::string_view text);

}  // namespace weft::chat
