#include "app/end_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace weft {

std::vector<EndToken> end_tokens(const ModelConfig& config, const Tokenizer* tokenizer,
                                 std::string_view source) {
  constexpr std::string_view of_tokenizer = "the tokenizer's eos_token";
  std::vector<EndToken> tokens;
  for (const TokenId id : config.eos) tokens.push_back({id, std::string(source)});
  const std::optional<TokenId> own = tokenizer == nullptr ? std::nullopt : tokenizer->eos();
  if (!own || *own < 0 || *own >= config.vocab) return tokens;
  const auto known = std::find_if(tokens.begin(), tokens.end(),
                                  [&](const EndToken& token) { return token.id == *own; });
  if (known == tokens.end()) {
    tokens.push_back({*own, std::string(of_tokenizer)});
  } else {
    known->source += fmt::format(" and {}", of_tokenizer);
  }
  return tokens;
}

std::string to_text(const std::vector<EndToken>& tokens, const Tokenizer* tokenizer) {
  using nlohmann::json;
  std::string text;
  for (const EndToken& token : tokens) {
    if (!text.empty()) text += ", ";
    text += fmt::format("{}", token.id);
    if (tokenizer != nullptr) {
      const json name = std::string(tokenizer->token_bytes(token.id));
      text += " " + name.dump(-1, ' ', true, json::error_handler_t::replace);
    }
    text += fmt::format(" ({})", token.source);
  }
  return text.empty() ? "none" : text;
}

}  // namespace weft
