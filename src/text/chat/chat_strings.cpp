#include "text/chat/chat_strings.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
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

// Calls write(out, character) for each character; what it appends is whose the character was.
template <class Write>
Text rewritten(const Text& text, Write write) {
  Text result;
  const auto run = [&](std::size_t begin, std::size_t end, std::optional<Source> source) {
    std::string out;
    for (std::size_t pos = begin; pos < end;) write(out, next_char(text.str(), pos));
    Text piece(std::move(out), source.has_value());
    result.append(source ? piece.from(*source) : piece);
  };
  std::size_t at = 0;
  for (const UserRange& range : text.sources()) {
    run(at, range.begin, std::nullopt);
    run(range.begin, range.end, range.source);
    at = range.end;
  }
  run(at, text.size(), std::nullopt);
  result.set_markup(text.is_markup());
  return result;
}

// Calls form_of(character) for each character and writes it in that case.
template <class FormOf>
Text recased(const Text& text, FormOf form_of) {
  return rewritten(text, [&](std::string& out, char32_t c) { append_cased(out, c, form_of(c)); });
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

std::size_t find_bytes(std::string_view text, std::string_view wanted, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (wanted.empty()) return from;
  // memmem takes linear time, which std::string::find does not promise.
  const void* const at =
      ::memmem(text.data() + from, text.size() - from, wanted.data(), wanted.size());
  if (at == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

std::size_t find_last_bytes(std::string_view text, std::string_view wanted) {
  const std::string backwards(text.rbegin(), text.rend());
  const std::size_t at = find_bytes(backwards, std::string(wanted.rbegin(), wanted.rend()), 0);
  return at == std::string_view::npos ? at : text.size() - at - wanted.size();
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
    const std::size_t at = find_bytes(text.str(), separator, begin);
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
  const std::string backwards(text.str().rbegin(), text.str().rend());
  const std::string wanted(separator.rbegin(), separator.rend());
  std::size_t behind = 0;  // of `backwards`: what is cut off already
  for (; most != 0; --most) {
    const std::size_t at = find_bytes(backwards, wanted, behind);
    if (at == std::string::npos) break;
    budget.steps(1);
    parts.push_back(text.part(text.size() - at, text.size() - behind));
    behind = at + separator.size();
  }
  parts.push_back(text.part(0, text.size() - behind));
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
    const std::size_t at = find_bytes(text.str(), from, search);
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
  result.set_markup(text.is_markup());
  return result;
}

Text escaped(const Text& text) {
  if (text.is_markup()) return text;
  Text result = rewritten(text, [](std::string& out, char32_t c) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        append_char(out, c);
    }
  });
  result.set_markup(true);
  return result;
}

Text swap_case(const Text& text) {
  return recased(text, [](char32_t c) {
    return utf8proc_isupper(static_cast<utf8proc_int32_t>(c)) != 0 ? Case::lower : Case::upper;
  });
}

std::vector<Text> split_at_space_from_right(const Text& text, std::int64_t most, Budget& budget) {
  std::vector<Text> parts;
  Text rest = strip(text, std::nullopt, false, true);
  while (!rest.empty() && most != 0) {
    budget.steps(1);
    std::size_t begin = rest.size();
    for (std::size_t before = begin; before > 0; begin = before) {
      if (is_python_space(previous_char(rest.str(), before))) break;
    }
    parts.push_back(rest.part(begin, rest.size()));
    rest = strip(rest.part(0, begin), std::nullopt, false, true);
    budget.steps(rest.size() / 16);
    if (most > 0) --most;
  }
  if (Text first = strip(rest, std::nullopt, true, true); !first.empty()) {
    parts.push_back(std::move(first));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Text padded(const Text& text, std::int64_t width, Text::Side side, std::string_view fill) {
  const auto count = static_cast<std::int64_t>(char_count(text.str()));
  if (width <= count) return text;
  const std::int64_t all = width - count;
  // str.center puts the odd one to the left where the width is odd.
  const std::int64_t left = side == Text::Side::left    ? 0
                            : side == Text::Side::right ? all
                                                        : all / 2 + (all & width & 1);
  const auto times = [&](std::int64_t n) {
    std::string result;
    for (std::int64_t i = 0; i < n; ++i) result += fill;
    return result;
  };
  Text result(times(left));
  result.append(text);
  result.append(times(all - left));
  result.set_markup(text.is_markup());
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
