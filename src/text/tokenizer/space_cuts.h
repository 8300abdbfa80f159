// Cutting text at spaces where that cannot change how BPE merges.
#pragma once

#include <cstddef>
#include <string_view>

namespace weft {

/// U+2581, which stands for a space in SentencePiece's vocabularies and their descendants.
inline constexpr std::string_view visible_space = "\xE2\x96\x81";

/// Does a space (plain or visible) stand behind another character in this piece? If that is so for
/// no piece of a vocabulary, then no merge ever joins a character and the space behind it, and the
/// text on either side of that place can be encoded by itself.
bool has_inner_space(std::string_view piece);

/// Calls visit(part) for the parts of `text` that start where `space` follows a character that is
/// no space. Together they are the text.
template <class Visit>
void cut_before_spaces(std::string_view text, std::string_view space, Visit visit) {
  std::size_t begin = 0;
  for (std::size_t at = text.find(space, 1); at != text.npos; at = text.find(space, at + 1)) {
    const std::string_view before = text.substr(0, at);
    if (before.ends_with(space) || before.ends_with(visible_space)) continue;
    visit(text.substr(begin, at - begin));
    begin = at;
  }
  if (begin < text.size()) visit(text.substr(begin));
}

}  // namespace weft
