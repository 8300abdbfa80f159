// JSON files that nobody has checked yet.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/types.h"

namespace weft {

/// Files larger than this are refused.
inline constexpr Bytes max_tokenizer_file = 200'000'000;

/// Ids are below this.
inline constexpr TokenId max_vocab_size = 1 << 22;

/// Contents of a regular file of at most `max_tokenizer_file` bytes, else UserError.
std::string read_tokenizer_file(const std::filesystem::path& file);

/// The same, parsed. UserError if it is not JSON or nested too deeply.
nlohmann::json read_json_file(const std::filesystem::path& file);

/// Calls `read`, and gives what it throws (wrong types, missing members, UserError) the file's
/// name and the class UserError.
template <class Read>
auto reading(const std::filesystem::path& file, Read read) {
  try {
    return read();
  } catch (const nlohmann::json::exception& e) {
    fail_user("{}: {}", file.string(), e.what());
  } catch (const UserError& e) {
    fail_user("{}: {}", file.string(), e.what());
  }
}

/// An integer from 0 to max_vocab_size - 1, else UserError.
TokenId token_id_from(const nlohmann::json& value);

/// object[key], or null if it is not there.
const nlohmann::json& member_or_null(const nlohmann::json& object, const char* key);

/// object[key] as a boolean or string; `fallback` if it is not there or null.
bool bool_member(const nlohmann::json& object, const char* key, bool fallback);
std::string string_member(const nlohmann::json& object, const char* key, const char* fallback);

}  // namespace weft
