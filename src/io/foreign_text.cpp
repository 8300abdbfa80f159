#include "io/foreign_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/error.h"

namespace weft {
namespace {

using namespace std::string_view_literals;

constexpr std::array kPackedFormats = {
    std::pair{"\xFD"
              "7zXZ\0"sv,
              "xz"sv},
    std::pair{"\x1F\x8B"sv, "gzip"sv},
    std::pair{"\x28\xB5\x2F\xFD"sv, "zstd"sv},
    std::pair{"BZh"sv, "bzip2"sv},
    std::pair{"\x04\x22\x4D\x18"sv, "lz4"sv},
    std::pair{"PK\x03\x04"sv, "zip"sv},
    std::pair{"7z\xBC\xAF\x27\x1C"sv, "7-Zip"sv},
};

/// Whether units of `width` bytes stand here most of which are ASCII: the byte at `at` of each is
/// some character's, all others are 0. The first three units tell, and a byte order mark is none.
bool has_ascii_units(std::string_view text, std::size_t width, std::size_t at) {
  constexpr std::size_t units = 3;
  if (text.size() < units * width) return false;
  for (std::size_t i = 0; i < units * width; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool fits = i % width == at ? byte != 0 && byte < 0x80 : byte == 0;
    if (!fits) return false;
  }
  return true;
}

/// "UTF-16" or "UTF-32" where the text is that; else nothing.
std::string_view wide_encoding(std::string_view text) {
  for (const auto& [width, name] : {std::pair{4, "UTF-32"sv}, std::pair{2, "UTF-16"sv}}) {
    const auto bytes = static_cast<std::size_t>(width);
    const std::string_view mark_last = width == 4 ? "\x00\x00\xFE\xFF"sv : "\xFE\xFF"sv;
    const std::string_view mark_first = width == 4 ? "\xFF\xFE\x00\x00"sv : "\xFF\xFE"sv;
    for (const auto& [mark, at] :
         {std::pair{mark_first, std::size_t{0}}, std::pair{mark_last, bytes - 1}}) {
      const std::string_view units = text.starts_with(mark) ? text.substr(bytes) : text;
      if (has_ascii_units(units, bytes, at)) return name;
    }
  }
  return {};
}

}  // namespace

void refuse_foreign_text(std::string_view text, std::string_view where) {
  if (const std::string_view name = wide_encoding(text); !name.empty()) {
    fail_user("{}: this is {} text, and weft reads UTF-8: convert it with iconv -f {} -t UTF-8",
              where, name, name);
  }
  const auto* const packed =
      std::find_if(kPackedFormats.begin(), kPackedFormats.end(),
                   [&](const auto& kind) { return text.starts_with(kind.first); });
  if (packed != kPackedFormats.end()) {
    fail_user("{}: this is packed with {}, which is not read here: unpack it first", where,
              packed->second);
  }
}

}  // namespace weft
