// JSON files, read strictly.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/types.h"

namespace weft {

struct JsonLimits {
  Bytes bytes = Bytes{64} << 20;  ///< longest text
  int depth = 64;                 ///< deepest nesting of objects and arrays
};

/// Parses `text`. Throws UserError that names `where` (a file name), line and column for malformed
/// text, text after the value, duplicate keys, too deep nesting or too much text.
nlohmann::json parse_json(std::string_view text, std::string_view where, JsonLimits limits = {});

/// Reads and parses a file; the same errors.
nlohmann::json read_json(const std::filesystem::path& path, JsonLimits limits = {});

}  // namespace weft
