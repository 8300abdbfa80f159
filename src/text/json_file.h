// The files of a tokenizer, which nobody has checked yet.
#pragma once

#include <exception>
#include <filesystem>
#include <new>
#include <string>

#include "base/error.h"
#include "base/types.h"
#include "io/json.h"

namespace weft {

/// Files larger than this are refused.
inline constexpr Bytes max_tokenizer_file = 200'000'000;

/// Ids are below this.
inline constexpr TokenId max_vocab_size = 1 << 22;

/// Contents of a regular file of at most `max_tokenizer_file` bytes, else UserError.
std::string read_tokenizer_file(const std::filesystem::path& file);

/// The same, parsed strictly (io/json.h).
nlohmann::json read_json_file(const std::filesystem::path& file);

/// Calls `read`, and gives what it throws (wrong types, missing members, UserError, a library's own
/// exceptions) the file's name and the class UserError. Error and std::bad_alloc pass.
template <class Read>
auto reading(const std::filesystem::path& file, Read read) {
  try {
    return read();
  } catch (const nlohmann::json::exception& error) {
    fail_user("{}: {}", file.string(), json_reason(error));
  } catch (const UserError& error) {
    const std::string message = error.what();
    if (message.starts_with(file.string() + ":")) throw;  // of what was read from it
    fail_user("{}: {}", file.string(), message);
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {  // of a library that reads the file
    fail_user("{}: {}", file.string(), error.what());
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
