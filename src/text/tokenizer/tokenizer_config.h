// What tokenizer_config.json and its companions say beside the tokenizer's own file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "text/tokenizer/added_tokens.h"

namespace weft {

/// Everything is optional: a missing file leaves the defaults.
struct TokenizerConfig {
  std::string tokenizer_class;  // "Qwen2Tokenizer", ...; without the suffix "Fast"
  std::string model_type;       // of config.json: "qwen3", ...
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
  std::optional<bool> add_prefix_space;
  bool legacy = true;  // SentencePiece: a dummy space also behind a special token
  std::vector<AddedToken> added_tokens;
};

/// Reads tokenizer_config.json, added_tokens.json and config.json where they exist.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_dir);

}  // namespace weft
