#include "text/json_file.h"

#include <fstream>

namespace weft {

namespace {
constexpr int max_depth = 64;
}

std::string read_tokenizer_file(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) {
    fail_user("{}: no such file", file.string());
  }
  const Bytes size = std::filesystem::file_size(file, error);
  if (error) fail_user("{}: {}", file.string(), error.message());
  if (size > max_tokenizer_file) {
    fail_user("{}: {} bytes is too large for a tokenizer file", file.string(), size);
  }
  std::string contents(size, '\0');
  std::ifstream stream(file, std::ios::binary);
  stream.read(contents.data(), static_cast<std::streamsize>(size));
  if (!stream || static_cast<Bytes>(stream.gcount()) != size) {
    fail_user("{}: cannot be read", file.string());
  }
  return contents;
}

nlohmann::json read_json_file(const std::filesystem::path& file) {
  using nlohmann::json;
  const std::string contents = read_tokenizer_file(file);
  return reading(file, [&] {
    return json::parse(contents, [](int depth, json::parse_event_t, json&) {
      if (depth > max_depth) fail_user("nested more than {} levels deep", max_depth);
      return true;
    });
  });
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
