#include "text/utf8.h"

#include <cstdint>

namespace weft {
namespace {

enum class Form { valid, malformed, incomplete };

struct Scan {
  Form form;
  std::size_t length;  // of the character, or of the maximal subpart
};

std::uint8_t byte_at(std::string_view text, std::size_t pos) {
  return static_cast<std::uint8_t>(text[pos]);
}

// The sequence at `pos`. `incomplete`: the text ends before the character does.
Scan scan(std::string_view text, std::size_t pos) {
  const std::uint8_t lead = byte_at(text, pos);
  if (lead < 0x80) return {Form::valid, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Form::malformed, 1};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Only the second byte's range depends on the lead: no overlong forms, surrogates or > U+10FFFF.
  std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (pos + i == text.size()) return {Form::incomplete, i};
    const std::uint8_t b = byte_at(text, pos + i);
    if (b < low || b > high) return {Form::malformed, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Form::valid, length};
}

// Length of the longest well-formed prefix.
std::size_t well_formed_prefix(std::string_view text) {
  std::size_t pos = 0;
  while (pos < text.size()) {
    const Scan s = scan(text, pos);
    if (s.form != Form::valid) break;
    pos += s.length;
  }
  return pos;
}

}  // namespace

std::string_view well_formed(std::string_view text, std::string& storage) {
  if (well_formed_prefix(text) == text.size()) return text;
  storage.clear();
  Utf8Stream stream;
  stream.feed(text, storage);
  stream.finish(storage);
  return storage;
}

char32_t next_char(std::string_view text, std::size_t& pos) {
  const std::uint8_t lead = byte_at(text, pos++);
  if (lead < 0x80) return lead;
  const int more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  char32_t c = lead & (0x3Fu >> more);
  for (int i = 0; i < more; ++i) c = (c << 6) | (byte_at(text, pos++) & 0x3Fu);
  return c;
}

char32_t previous_char(std::string_view text, std::size_t& end) {
  do --end;
  while ((byte_at(text, end) & 0xC0u) == 0x80u);
  std::size_t pos = end;
  return next_char(text, pos);
}

void append_char(std::string& out, char32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80u | ((c >> shift) & 0x3Fu)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0u | (c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0u | (c >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0u | (c >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

void Utf8Stream::feed(std::string_view bytes, std::string& out) {
  std::string joined;
  std::string_view text = bytes;
  if (!waiting_.empty()) {
    joined = waiting_;
    joined += bytes;
    text = joined;
    waiting_.clear();
  }
  while (!text.empty()) {
    const std::size_t good = well_formed_prefix(text);
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) return;
    const Scan bad = scan(text, 0);
    if (bad.form == Form::incomplete) {
      waiting_ = text;
      return;
    }
    out += replacement_character;
    text.remove_prefix(bad.length);
  }
}

void Utf8Stream::finish(std::string& out) {
  if (!waiting_.empty()) out += replacement_character;
  waiting_.clear();
}

}  // namespace weft
