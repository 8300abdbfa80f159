#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/library_versions.h"

#include <fmt/format.h>
#include <pcre2.h>
#include <utf8proc.h>

#include <array>

namespace weft {

std::string text_library_versions() {
  std::array<char, 64> pcre2{};  // more than pcre2_config(PCRE2_CONFIG_VERSION) writes
  pcre2_config_8(PCRE2_CONFIG_VERSION, pcre2.data());
  return fmt::format("PCRE2 {}, utf8proc {} (Unicode {})", pcre2.data(), utf8proc_version(),
                     utf8proc_unicode_version());
}

}  // namespace weft
