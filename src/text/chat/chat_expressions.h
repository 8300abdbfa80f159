// The parser of a template's expressions.
#pragma once

#include <string>
#include <string_view>

#include "text/chat/chat_syntax.h"
#include "text/chat/chat_tokens.h"

namespace weft::chat {

/// Reads expressions with Jinja's precedence.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  /// A whole expression; without `with_conditional` an "if" behind it belongs to someone else.
  ExpressionPtr expression(bool with_conditional = true);
  /// One or more, with commas between: then a tuple.
  ExpressionPtr tuple(bool with_conditional = true);
  /// The filters behind a `|`, applied to `input`.
  ExpressionPtr filters(ExpressionPtr input);
  /// One filter, without the `|`.
  ExpressionPtr one_filter(ExpressionPtr input);

 private:
  ExpressionPtr logical_or();
  ExpressionPtr logical_and();
  ExpressionPtr logical_not();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr parenthesized();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr member(ExpressionPtr node);
  ExpressionPtr subscript(ExpressionPtr node);
  ExpressionPtr call(ExpressionPtr callee);
  ExpressionPtr filters_and_tests(ExpressionPtr node);
  ExpressionPtr test(ExpressionPtr node);
  void arguments(Expression& node);
  [[nodiscard]] bool at_tuple_end() const;
  ExpressionPtr make(Expression::Kind kind, std::string name = {}) const;

  TokenStream& tokens_;
  int depth_ = 0;
};

}  // namespace weft::chat
