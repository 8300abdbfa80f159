#include "base/message.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdio>

namespace weft {
namespace {

/// One character of a text, or a byte that is none.
struct Character {
  std::size_t bytes = 1;
  char32_t code = 0;
  bool valid = false;
};

/// The character that a text, which is not empty, begins with. As the Unicode Standard has it:
/// neither overlong forms nor surrogates.
Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {1, lead, true};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || bytes > text.size()) return {};
  char32_t code = lead & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80U) return {};
    code = code << 6U | (next & 0x3FU);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  if (overlong || (code >= 0xD800 && code < 0xE000) || code > 0x10FFFF) return {};
  return {bytes, code, true};
}

/// Whether a terminal may do anything else with it than show it.
bool is_hidden(char32_t code) {
  const auto within = [&](char32_t low, char32_t high) { return low <= code && code <= high; };
  return code < 0x20 || within(0x7F, 0x9F) || within(0x200E, 0x200F) || within(0x2028, 0x202E) ||
         within(0x2066, 0x2069) || code == 0x061C || code == 0xFEFF;
}

void append_escape(std::string& out, char32_t code) {
  const auto number = static_cast<unsigned>(code);
  switch (code) {
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      out += number < 0x80 ? fmt::format("\\x{:02x}", number) : fmt::format("\\u{:04x}", number);
  }
}

std::string escape(std::string_view text, bool may_go_on) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character c = first_character(text);
    if (may_go_on && text.starts_with("\n  ")) {
      out += '\n';
    } else if (!c.valid) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    } else if (is_hidden(c.code)) {
      append_escape(out, c.code);
    } else {
      out += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

}  // namespace

std::string escaped(std::string_view text) { return escape(text, false); }

std::string escaped_message(std::string_view message) { return escape(message, true); }

void print_error(std::string_view message) {
  const std::string line = "weft: " + escaped_message(message) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);  // in one piece
}

}  // namespace weft
