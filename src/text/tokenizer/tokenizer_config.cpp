#include "text/tokenizer/tokenizer_config.h"

#include <charconv>
#include <set>

#include "text/json_file.h"

namespace weft {
namespace {

using nlohmann::json;

std::optional<bool> optional_flag(const json& object, const char* key) {
  if (member_or_null(object, key).is_null()) return std::nullopt;
  return bool_member(object, key, false);
}

// "<s>" or {"content": "<s>", ...}.
std::optional<std::string> token_name(const json& value) {
  if (value.is_null()) return std::nullopt;
  return value.is_object() ? value.at("content").get<std::string>() : value.get<std::string>();
}

TokenId id_from_key(const std::string& key) {
  TokenId id = -1;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size()) {
    fail_user("\"{}\" is not a token id", key);
  }
  return token_id_from(json(id));
}

std::set<std::string> special_names(const json& object) {
  std::set<std::string> names;
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    if (auto name = token_name(member_or_null(object, key))) names.insert(*name);
  }
  const json& more = member_or_null(object, "additional_special_tokens");
  if (more.is_array()) {
    for (const json& token : more) names.insert(token_name(token).value_or(""));
  }
  return names;
}

void read_main(const json& object, TokenizerConfig& config) {
  config.tokenizer_class = string_member(object, "tokenizer_class", "");
  if (config.tokenizer_class.ends_with("Fast")) {
    config.tokenizer_class.resize(config.tokenizer_class.size() - 4);
  }
  config.bos_token = token_name(member_or_null(object, "bos_token"));
  config.eos_token = token_name(member_or_null(object, "eos_token"));
  config.add_bos_token = optional_flag(object, "add_bos_token");
  config.add_eos_token = optional_flag(object, "add_eos_token");
  config.add_prefix_space = optional_flag(object, "add_prefix_space");
  config.legacy = bool_member(object, "legacy", true);
  const json& added = member_or_null(object, "added_tokens_decoder");
  if (added.is_null()) return;
  if (!added.is_object()) fail_user("\"added_tokens_decoder\" is a {}", added.type_name());
  for (const auto& [key, token] : added.items()) {
    config.added_tokens.push_back(AddedToken::from_json(token, id_from_key(key)));
  }
}

// added_tokens.json of older models: {"content": id}, without saying which are special.
void read_older(const json& object, const std::set<std::string>& special, TokenizerConfig& config) {
  if (!object.is_object()) fail_user("a {}, not an object", object.type_name());
  for (const auto& [content, id] : object.items()) {
    AddedToken token;
    token.id = token_id_from(id);
    token.content = content;
    token.special = special.contains(content);
    token.normalized = !token.special;
    config.added_tokens.push_back(std::move(token));
  }
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_dir) {
  TokenizerConfig config;
  std::set<std::string> special;
  // Calls use(contents) if the file is there.
  const auto with = [&](const char* name, const auto& use) {
    const std::filesystem::path file = model_dir / name;
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) return;
    const json contents = read_json_file(file);
    reading(file, [&] { use(contents); });
  };
  with("tokenizer_config.json", [&](const json& object) {
    read_main(object, config);
    special.merge(special_names(object));
  });
  if (config.added_tokens.empty()) {
    with("special_tokens_map.json",
         [&](const json& object) { special.merge(special_names(object)); });
    with("added_tokens.json", [&](const json& object) { read_older(object, special, config); });
  }
  with("config.json",
       [&](const json& object) { config.model_type = string_member(object, "model_type", ""); });
  return config;
}

}  // namespace weft
