// The words of a chat template.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft::chat {

enum class TokenKind {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  op,
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;  // of data, name, number and op as written; of a string what it stands for
  int line = 0;

  [[nodiscard]] bool is(TokenKind k, std::string_view t) const { return kind == k && text == t; }
  [[nodiscard]] bool is_op(std::string_view t) const { return is(TokenKind::op, t); }
  [[nodiscard]] bool is_name(std::string_view t) const { return is(TokenKind::name, t); }
};

/// Where a Fault of `tokenize` or `parse` was found.
struct Place {
  int line = 1;
};

/// Cuts a template into tokens; the last is an `end`. Comments are dropped, "raw" blocks are data,
/// and white space is dropped as Jinja does with trim_blocks and lstrip_blocks. `source` must be
/// well-formed UTF-8. Fault for what is no template; `place` then tells where.
std::vector<Token> tokenize(std::string_view source, Place& place);

}  // namespace weft::chat
