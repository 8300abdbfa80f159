// The 256 characters that byte-level vocabularies write bytes with.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weft {

/// Each byte as its character: itself where that is a printable character of Latin-1, else one of
/// U+0100 ... U+0143 in ascending order (GPT-2's table). A space is U+0120.
std::string byte_level_from_bytes(std::string_view bytes);

/// The inverse; nothing if `text` has a character that stands for no byte.
/// Needs well-formed UTF-8.
std::optional<std::string> bytes_from_byte_level(std::string_view text);

}  // namespace weft
