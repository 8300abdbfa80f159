// The parser of a template's expressions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

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

  /// About filters and tests that Jinja does not have, in what was read since the last call. Jinja
  /// refuses such a template, unless they stand in an "if" and are not reached. Fault if there are
  /// some and it is not `may_be_unknown`.
  void check_names(bool may_be_unknown);

  /// Which of a macro's special variables were read.
  struct Seen {
    bool caller = false;
    bool varargs = false;
    bool kwargs = false;
  };
  Seen seen;

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
  std::vector<std::string> unknown_;  // messages about filters and tests
  int depth_ = 0;
};

}  // namespace weft::chat
