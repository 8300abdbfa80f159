#include "text/json_file.h"

#include "io/file.h"

namespace weft {

std::string read_tokenizer_file(const std::filesystem::path& file) {
  return read_text(file, max_tokenizer_file);
}

nlohmann::json read_json_file(const std::filesystem::path& file) {
  return read_json(file, {.bytes = max_tokenizer_file});
}

TokenId token_id_from(const nlohmann::json& value) {
  if (!value.is_number_integer()) fail_user("a token id is a {}", value.type_name());
  const bool negative = !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
  if (negative || value.get<std::uint64_t>() >= static_cast<std::uint64_t>(max_vocab_size)) {
    fail_user("token id {} is not in 0 ... {}", value.dump(), max_vocab_size - 1);
  }
  return value.get<TokenId>();
}

const nlohmann::json& member_or_null(const nlohmann::json& object, const char* key) {
  static const nlohmann::json null;
  if (!object.is_object()) fail_user("an object was expected around \"{}\"", key);
  const auto it = object.find(key);
  return it == object.end() ? null : *it;
}

bool bool_member(const nlohmann::json& object, const char* key, bool fallback) {
  const nlohmann::json& value = member_or_null(object, key);
  if (value.is_null()) return fallback;
  if (!value.is_boolean()) fail_user("\"{}\" is a {}, not a boolean", key, value.type_name());
  return value.get<bool>();
}

std::string string_member(const nlohmann::json& object, const char* key, const char* fallback) {
  const nlohmann::json& value = member_or_null(object, key);
  if (value.is_null()) return fallback;
  if (!value.is_string()) fail_user("\"{}\" is a {}, not a string", key, value.type_name());
  return value.get<std::string>();
}

}  // namespace weft
