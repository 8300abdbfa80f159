// The tokens of a template while they are parsed.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/chat/chat_lexer.h"
#include "text/chat/chat_value.h"

namespace weft::chat {

/// A position in a list of tokens that ends with an `end`.
class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, Place& place) : tokens_(std::move(tokens)), place_(place) {
    place_.line = current().line;
  }

  [[nodiscard]] const Token& current() const { return tokens_[at_]; }
  [[nodiscard]] const Token& ahead() const {
    return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_];
  }

  /// The current token; the next one becomes current.
  const Token& take() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    place_.line = current().line;
    return token;
  }

  bool skip_op(std::string_view op) { return skip_if(current().is_op(op)); }
  bool skip_name(std::string_view name) { return skip_if(current().is_name(name)); }

  /// Fault unless the current token is of that kind or the operator; takes it.
  std::string expect(TokenKind kind, std::string_view what);
  void expect_op(std::string_view op);

  /// "unexpected …" about the current token.
  [[noreturn]] void unexpected() const;

 private:
  bool skip_if(bool condition) {
    if (condition) take();
    return condition;
  }

  std::vector<Token> tokens_;
  Place& place_;
  std::size_t at_ = 0;
};

}  // namespace weft::chat
