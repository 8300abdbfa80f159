// Libraries whose tables decide which tokens a text becomes.
#pragma once

#include <string>

namespace weft {

/// Versions of the libraries for patterns and for Unicode, as they run: "PCRE2 10.42, utf8proc
/// 2.8.0 (Unicode 15.0.0)".
std::string text_library_versions();

}  // namespace weft
