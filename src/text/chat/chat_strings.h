// Python's string operations on marked text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/chat/chat_text.h"
#include "text/chat/chat_value.h"

namespace weft::chat {

/// Number of characters.
std::size_t char_count(std::string_view text);

/// Byte offset of the character with this number; the end if there are fewer.
std::size_t char_offset(std::string_view text, std::size_t index);

/// Byte offset of the first occurrence at or behind `from`, or of the last; npos if there is none.
/// In linear time.
std::size_t find_bytes(std::string_view text, std::string_view wanted, std::size_t from = 0);
std::size_t find_last_bytes(std::string_view text, std::string_view wanted);

/// str.isspace of one character.
bool is_python_space(char32_t c);

/// strip, lstrip and rstrip: of the characters in `chars`, or of white space.
Text strip(const Text& text, std::optional<std::string_view> chars, bool left, bool right);

/// split and rsplit at `separator`, or at runs of white space; at most `most` cuts, -1: all.
std::vector<Text> split(const Text& text, std::string_view separator, std::int64_t most,
                        Budget& budget);
std::vector<Text> split_from_right(const Text& text, std::string_view separator, std::int64_t most,
                                   Budget& budget);
std::vector<Text> split_at_space(const Text& text, std::int64_t most, Budget& budget);
std::vector<Text> split_at_space_from_right(const Text& text, std::int64_t most, Budget& budget);
std::vector<Text> split_lines(const Text& text, bool keep_ends);

/// The first `most` occurrences (-1: all) of `from` become `to`.
Text replace(const Text& text, std::string_view from, const Text& to, std::int64_t most,
             Budget& budget);

/// The text as HTML: markup as it is, other text with & < > ' " escaped.
Text escaped(const Text& text);

/// Filled up to `width` characters; the text stands at that side, or in the middle.
Text padded(const Text& text, std::int64_t width, Text::Side side, std::string_view fill);

/// Letters' cases.
Text swap_case(const Text& text);
Text upper(const Text& text);
Text lower(const Text& text);
Text capitalize(const Text& text);
/// str.title, or the filter of that name, which starts words at white space and opening brackets.
Text title(const Text& text, bool as_filter);

}  // namespace weft::chat
