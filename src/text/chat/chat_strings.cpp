#include "text/chat/chat_strings.h"

#include <utf8proc.h>

#include <algorithm>
#include <string>
#include <utility>

#include "text/utf8.h"

namespace weft::chat {
namespace {

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_cased(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
      return true;
    default:
      return false;
  }
}

enum class Case { upper, lower, title };

void append_cased(std::string& out, char32_t c, Case form) {
  if (c == 0xDF && form != Case::lower) {  // the sharp s has no capital of one letter
    out += form == Case::upper ? "SS" : "Ss";
    return;
  }
  if (c == 0x130 && form == Case::lower) {  // capital I with dot
    out += "i\xCC\x87";
    return;
  }
  const auto in = static_cast<utf8proc_int32_t>(c);
  const utf8proc_int32_t mapped = form == Case::upper   ? utf8proc_toupper(in)
                                  : form == Case::lower ? utf8proc_tolower(in)
                                                        : utf8proc_totitle(in);
  append_char(out, static_cast<char32_t>(mapped));
}

// Calls form_of(character) for each character and writes it in that case.
template <class FormOf>
Text recased(const Text& text, FormOf form_of) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t c = next_char(text.str(), pos);
    append_cased(out, c, form_of(c));
  }
  return Text(std::move(out), text.any_user());
}

bool contains_char(std::string_view chars, char32_t wanted) {
  for (std::size_t pos = 0; pos < chars.size();) {
    if (next_char(chars, pos) == wanted) return true;
  }
  return false;
}

}  // namespace

std::size_t char_count(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::size_t char_offset(std::string_view text, std::size_t index) {
  std::size_t pos = 0;
  for (; index > 0 && pos < text.size(); --index) next_char(text, pos);
  return pos;
}

bool is_python_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

Text strip(const Text& text, std::optional<std::string_view> chars, bool left, bool right) {
  const auto goes = [&](char32_t c) {
    return chars ? contains_char(*chars, c) : is_python_space(c);
  };
  std::size_t begin = 0;
  std::size_t end = text.size();
  while (left && begin < end) {
    std::size_t behind = begin;
    if (!goes(next_char(text.str(), behind))) break;
    begin = behind;
  }
  while (right && end > begin) {
    std::size_t before = end;
    if (!goes(previous_char(text.str(), before))) break;
    end = before;
  }
  return text.part(begin, end);
}

std::vector<Text> split(const Text& text, std::string_view separator, std::int64_t most,
                        Budget& budget) {
  if (separator.empty()) throw Fault("empty separator");
  std::vector<Text> parts;
  std::size_t begin = 0;
  for (; most != 0; --most) {
    const std::size_t at = text.str().find(separator, begin);
    if (at == std::string::npos) break;
    budget.steps(1);
    parts.push_back(text.part(begin, at));
    begin = at + separator.size();
  }
  parts.push_back(text.part(begin, text.size()));
  return parts;
}

std::vector<Text> split_from_right(const Text& text, std::string_view separator, std::int64_t most,
                                   Budget& budget) {
  if (separator.empty()) throw Fault("empty separator");
  std::vector<Text> parts;
  std::size_t end = text.size();
  for (; most != 0 && end >= separator.size(); --most) {
    const std::size_t at = text.str().rfind(separator, end - separator.size());
    if (at == std::string::npos) break;
    budget.steps(1);
    parts.push_back(text.part(at + separator.size(), end));
    end = at;
  }
  parts.push_back(text.part(0, end));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<Text> split_at_space(const Text& text, std::int64_t most, Budget& budget) {
  std::vector<Text> parts;
  Text rest = strip(text, std::nullopt, true, false);
  std::size_t begin = 0;
  std::size_t pos = 0;
  const std::string& s = rest.str();
  while (pos < s.size()) {
    const std::size_t at = pos;
    if (!is_python_space(next_char(s, pos))) continue;
    if (most == 0) break;
    --most;
    budget.steps(1);
    parts.push_back(rest.part(begin, at));
    begin = pos;
    while (begin < s.size() && is_python_space(next_char(s, pos))) begin = pos;
    pos = begin;
  }
  if (begin < s.size())
    parts.push_back(strip(rest.part(begin, s.size()), std::nullopt, false, true));
  return parts;
}

std::vector<Text> split_lines(const Text& text, bool keep_ends) {
  std::vector<Text> lines;
  std::size_t begin = 0;
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t at = pos;
    const char32_t c = next_char(text.str(), pos);
    if (!is_line_end(c)) continue;
    if (c == '\r' && pos < text.size() && text.str()[pos] == '\n') ++pos;
    lines.push_back(text.part(begin, keep_ends ? pos : at));
    begin = pos;
  }
  if (begin < text.size()) lines.push_back(text.part(begin, text.size()));
  return lines;
}

Text replace(const Text& text, std::string_view from, const Text& to, std::int64_t most,
             Budget& budget) {
  Text result;
  std::size_t begin = 0;
  std::size_t search = 0;
  for (; most != 0 && search <= text.size(); --most) {
    const std::size_t at = text.str().find(from, search);
    if (at == std::string::npos) break;
    budget.steps(1);
    budget.bytes(to.size());
    result.append_part(text, begin, at);
    result.append(to);
    begin = at + from.size();
    search = begin;
    if (from.empty()) {  // between any two characters
      if (begin == text.size()) break;
      next_char(text.str(), search);
    }
  }
  result.append_part(text, begin, text.size());
  return result;
}

Text upper(const Text& text) {
  return recased(text, [](char32_t) { return Case::upper; });
}

Text lower(const Text& text) {
  return recased(text, [](char32_t) { return Case::lower; });
}

Text capitalize(const Text& text) {
  return recased(text, [first = true](char32_t) mutable {
    return std::exchange(first, false) ? Case::title : Case::lower;
  });
}

Text title(const Text& text, bool as_filter) {
  if (!as_filter) {
    return recased(text, [inside = false](char32_t c) mutable {
      return std::exchange(inside, is_cased(c)) ? Case::lower : Case::title;
    });
  }
  const auto opens = [](char32_t c) {
    return c == '-' || is_python_space(c) || c == '(' || c == '{' || c == '[' || c == '<';
  };
  return recased(text, [opens, inside = false](char32_t c) mutable {
    return std::exchange(inside, !opens(c)) ? Case::lower : Case::upper;
  });
}

}  // namespace weft::chat
