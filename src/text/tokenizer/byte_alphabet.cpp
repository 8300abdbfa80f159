#include "text/tokenizer/byte_alphabet.h"

#include <array>

#include "text/utf8.h"

namespace weft {
namespace {

constexpr char32_t alphabet_end = 0x144;

constexpr bool stands_for_itself(unsigned b) {
  return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
}

struct Tables {
  std::array<char32_t, 256> character{};
  std::array<int, alphabet_end> byte{};
};

constexpr Tables make_tables() {
  Tables t;
  t.byte.fill(-1);
  char32_t spare = 0x100;
  for (unsigned b = 0; b < 256; ++b) {
    t.character[b] = stands_for_itself(b) ? static_cast<char32_t>(b) : spare++;
    t.byte[t.character[b]] = static_cast<int>(b);
  }
  return t;
}

constexpr Tables tables = make_tables();

}  // namespace

std::string byte_level_from_bytes(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) append_char(text, tables.character[static_cast<unsigned char>(c)]);
  return text;
}

std::optional<std::string> bytes_from_byte_level(std::string_view text) {
  std::string bytes;
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t c = next_char(text, pos);
    if (c >= alphabet_end || tables.byte[c] < 0) return std::nullopt;
    bytes += static_cast<char>(tables.byte[c]);
  }
  return bytes;
}

}  // namespace weft
