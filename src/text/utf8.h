// UTF-8: validation with replacement, characters one by one, and text that arrives in fragments.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weft {

/// U+FFFD, which stands for what is not UTF-8.
inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

/// `text` itself if it is well-formed UTF-8. Otherwise a copy, held in `storage`, in which each
/// maximal subpart of an ill-formed sequence is one U+FFFD (Unicode 15, section 3.9; the same as
/// Python's errors="replace").
std::string_view well_formed(std::string_view text, std::string& storage);

/// The character that starts at `pos`, which then moves behind it.
/// Needs well-formed text and pos < text.size().
char32_t next_char(std::string_view text, std::size_t& pos);

/// The character that ends at `end`, which then moves before it.
/// Needs well-formed text and 0 < end <= text.size().
char32_t previous_char(std::string_view text, std::size_t& end);

/// Appends the UTF-8 form of a Unicode scalar value.
void append_char(std::string& out, char32_t c);

/// Has the character the Unicode property White_Space?
bool is_white_space(char32_t c);

/// Turns bytes that arrive in fragments into well-formed UTF-8. An incomplete character at the
/// end of a fragment waits for the next one; what can no longer become a character is U+FFFD.
/// All output together equals `well_formed` of all input together.
class Utf8Stream {
 public:
  /// Appends to `out` the text that `bytes` completes.
  void feed(std::string_view bytes, std::string& out);

  /// Appends U+FFFD if an incomplete character is waiting, and forgets it.
  void finish(std::string& out);

 private:
  std::string waiting_;  // at most three bytes
};

}  // namespace weft
