// Texts that must not come, as tokens that must not come next.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

/// A vocabulary's tokens in the order of the bytes that they add to a text. Special tokens add
/// none and are not among them.
class TokenTexts {
 public:
  /// The tokens below `vocab`, which is the model's; `tokenizer` must outlive this object.
  TokenTexts(const Tokenizer& tokenizer, std::int64_t vocab);

  /// All tokens that begin with `bytes`.
  [[nodiscard]] std::span<const TokenId> starting_with(std::string_view bytes) const;
  [[nodiscard]] std::span<const TokenId> all() const { return order_; }
  [[nodiscard]] const Tokenizer& tokenizer() const { return tokenizer_; }
  [[nodiscard]] std::int64_t vocab() const { return vocab_; }

 private:
  const Tokenizer& tokenizer_;
  std::int64_t vocab_;
  std::vector<TokenId> order_;
};

/// Texts that a completion must not contain, however they are cut into tokens, and special tokens
/// that it must not contain, by name. Immutable, and shared by all completions of a request.
class BadWords {
 public:
  /// Texts are taken byte by byte, spaces at their ends too; none is empty. A text that is the name
  /// of a special token stands for that token as well.
  BadWords(std::vector<std::string> texts, std::shared_ptr<const TokenTexts> tokens);

  /// Tokens that complete one of the texts wherever they stand, each once.
  [[nodiscard]] std::span<const TokenId> always() const { return always_; }

  /// Whether other tokens may not come either after some texts.
  [[nodiscard]] bool follow_text() const { return longest_ > 1; }

  /// Visits the tokens that complete a text which begins in `tail`; a token possibly several times.
  void completing(std::string_view tail, const std::function<void(TokenId)>& visit) const;

  /// Appends what a token adds to the text, of whose end `tail` keeps as much as matters.
  void extend(std::string& tail, TokenId token) const;

 private:
  std::shared_ptr<const TokenTexts> tokens_;
  std::vector<std::string> texts_;
  std::vector<TokenId> always_;
  std::size_t longest_ = 0;  // bytes
};

}  // namespace weft
