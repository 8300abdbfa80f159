// JSON, read strictly: the one reader of all texts in this format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/types.h"

namespace weft {

struct JsonLimits {
  Bytes bytes = Bytes{64} << 20;  ///< longest text
  int depth = 64;                 ///< deepest nesting of objects and arrays
  /// Asked now and then within a text: Cancelled is thrown when it says so.
  std::function<bool()> stop = nullptr;
};

/// Takes the values of a text as they are read.
class JsonSink {
 public:
  virtual ~JsonSink() = default;

  virtual void null() = 0;
  virtual void boolean(bool value) = 0;
  virtual void integer(std::int64_t value) = 0;  ///< below 0
  virtual void natural(std::uint64_t value) = 0;
  /// `digits` is how it is written: of an integer, where it is none of 64 bits.
  virtual void real(double value, std::string_view digits) = 0;
  virtual void string(std::string value) = 0;
  virtual void begin_object() = 0;
  /// False when the object that is open has that key already.
  virtual bool key(std::string name) = 0;
  virtual void end_object() = 0;
  virtual void begin_array() = 0;
  virtual void end_array() = 0;
};

/// Parses `text`, in a time that grows with its length. Throws UserError that names `where` (a file
/// name), line and column for malformed text, text after the value, duplicate keys, too deep
/// nesting or too much text. Counts as progress while it goes on. What the sink throws is passed
/// on.
void parse_json(std::string_view text, std::string_view where, const JsonLimits& limits,
                JsonSink& sink);

/// The same as a tree.
nlohmann::json parse_json(std::string_view text, std::string_view where,
                          const JsonLimits& limits = {});

/// Reads and parses a file; the same errors.
nlohmann::json read_json(const std::filesystem::path& path, const JsonLimits& limits = {});

/// What the library says about a value of another type than expected, without its error numbers.
std::string json_reason(const nlohmann::json::exception& error);

}  // namespace weft
