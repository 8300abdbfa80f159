// A conversation as a chat template wants to read it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat/chat_value.h"

namespace weft::chat {

/// In which forms a template writes out the content of messages of some role.
struct ContentForms {
  bool text = false;      ///< a string
  bool parts = false;     ///< a list of parts of type "text"
  bool one_part = false;  ///< such a list, of which it reads the first part only
};

/// What a template does with messages, found by trying it.
struct Habits {
  std::map<std::string, ContentForms, std::less<>> content;  ///< by role
  bool arguments_as_text = false;    ///< it writes out arguments of tool calls that are JSON text,
  bool arguments_as_object = false;  ///< and such that are objects
  bool knows_developer = false;      ///< the role occurs in its source
};

/// What a template writes for messages and tools; nothing if it fails.
using Trial = std::function<std::optional<std::string>(const Value& messages, const Value& tools)>;

/// `source`: the template's text.
Habits habits_of(const Trial& trial, std::string_view source);

/// Messages and tools with a number (Text::sources) for each part that a prompt should hold.
struct Prepared {
  Value messages;
  Value tools;
  std::vector<std::string> parts;  ///< "messages[0].content" and the like; part i has number i + 1
};

/// What Transformers makes of messages (null members go, reasoning has its usual names), in the
/// forms that the template reads: content as text or parts, arguments of tool calls as text or
/// object, the role "developer" as "system". `empty_content`: a null content is "" instead. Fault
/// for arguments that had to be decoded and are no JSON object. `messages` must be a list of
/// dictionaries.
Prepared prepare(const Value& messages, const Value& tools, const Habits& habits,
                 bool empty_content);

/// The same without a change to anything.
Prepared prepare_plainly(const Value& messages, const Value& tools);

/// The parts of which no byte is in the prompt.
std::vector<std::string> lost_parts(const Prepared& prepared, const Text& prompt);

}  // namespace weft::chat
