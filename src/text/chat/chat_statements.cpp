// The parser of a template's statements.
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "text/chat/chat_expressions.h"
#include "text/chat/chat_syntax.h"
#include "text/chat/chat_tokens.h"

namespace weft::chat {

std::string TokenStream::expect(TokenKind kind, std::string_view what) {
  if (current().kind != kind) {
    throw Fault(fmt::format("{} was expected, not '{}'", what, current().text));
  }
  return take().text;
}

void TokenStream::expect_op(std::string_view op) {
  if (!current().is_op(op)) {
    throw Fault(fmt::format("'{}' was expected, not '{}'", op, current().text));
  }
  take();
}

void TokenStream::unexpected() const {
  switch (current().kind) {
    case TokenKind::end:
      throw Fault("the template ends too early");
    case TokenKind::variable_end:
    case TokenKind::block_end:
      throw Fault("an expression was expected, not the end of the tag");
    default:
      throw Fault(fmt::format("unexpected '{}'", current().text));
  }
}

namespace {

using StatementKind = Statement::Kind;
using Ends = std::initializer_list<std::string_view>;

class StatementParser {
 public:
  StatementParser(std::vector<Token> tokens, Place& place)
      : tokens_(std::move(tokens), place), expressions_(tokens_) {}

  Block whole() { return block({}); }

 private:
  // Statements up to a tag that starts with one of `ends`, whose name is then current. Without
  // ends: up to the end of the template.
  Block block(Ends ends) {
    if (++depth_ > max_syntax_depth) {
      throw Fault(fmt::format("blocks nested more than {} deep", max_syntax_depth));
    }
    Block result;
    for (;;) {
      const Token& token = tokens_.current();
      if (token.kind == TokenKind::data) {
        result.push_back(make(StatementKind::text, token.text));
        tokens_.take();
      } else if (token.kind == TokenKind::variable_begin) {
        tokens_.take();
        result.push_back(make(StatementKind::output));
        result.back().expression = known(expressions_.tuple());
        tokens_.expect(TokenKind::variable_end, "'}}'");
      } else if (token.kind == TokenKind::block_begin) {
        tokens_.take();
        const auto is_current = [&](std::string_view end) {
          return tokens_.current().is_name(end);
        };
        if (std::any_of(ends.begin(), ends.end(), is_current)) break;
        tag(result);
      } else {
        if (ends.size() > 0) {
          throw Fault(fmt::format("'{}' is missing at the end", *(ends.end() - 1)));
        }
        break;
      }
    }
    --depth_;
    return result;
  }

  Statement make(StatementKind kind, std::string name = {}) const {
    Statement statement;
    statement.kind = kind;
    statement.line = tokens_.current().line;
    statement.name = std::move(name);
    return statement;
  }

  // An expression that was just read: may its filters and tests be unknown, as in an "if"?
  ExpressionPtr known(ExpressionPtr expression) {
    expressions_.check_names(soft_);
    return expression;
  }

  void end_tag() { tokens_.expect(TokenKind::block_end, "'%}'"); }

  // The body of a block up to {% end %}, which is taken.
  Block body(std::string_view end) {
    end_tag();
    Block result = block({end});
    tokens_.take();
    end_tag();
    return result;
  }

  // `read()`, in which filters and tests may be unknown or not.
  template <class Read>
  auto softly(bool soft, Read read) {
    const bool outer = std::exchange(soft_, soft);
    auto result = read();
    soft_ = outer;
    return result;
  }

  // The same for a block that is written elsewhere: a loop around it cannot be left from inside.
  Block separate_body(std::string_view end) {
    const int outer_loops = std::exchange(loops_, 0);
    Block result = softly(false, [&] { return body(end); });
    loops_ = outer_loops;
    return result;
  }

  void tag(Block& result) {
    const std::string name = tokens_.expect(TokenKind::name, "the name of a statement");
    if (name == "if") {
      result.push_back(conditional());
    } else if (name == "for") {
      result.push_back(loop());
    } else if (name == "set") {
      result.push_back(assignment());
    } else if (name == "macro") {
      result.push_back(macro());
    } else if (name == "with") {
      result.push_back(scope());
    } else if (name == "filter") {
      Statement statement = make(StatementKind::filter_block);
      statement.expression = known(piped(expressions_.one_filter(captured())));
      statement.body = separate_body("endfilter");
      result.push_back(std::move(statement));
    } else if (name == "break" || name == "continue") {
      if (loops_ == 0) throw Fault(fmt::format("'{}' outside of a loop", name));
      result.push_back(
          make(name == "break" ? StatementKind::leave_loop : StatementKind::next_item));
      end_tag();
    } else if (name == "call") {
      result.push_back(call_block());
    } else if (name == "include" || name == "import" || name == "from" || name == "extends") {
      result.push_back(unsupported(name));
      end_tag();
    } else if (name == "block" || name == "autoescape") {
      result.push_back(unsupported(name));
      const std::string end = "end" + name;
      end_tag();
      block({end});
      tokens_.take();
      skip_to_end();
      end_tag();
    } else if (name == "generation") {  // marks what a model wrote; the text is the same
      Block inner = body("endgeneration");
      std::move(inner.begin(), inner.end(), std::back_inserter(result));
    } else {
      throw Fault(fmt::format("the statement '{}' is not supported", name));
    }
  }

  void skip_to_end() {
    while (tokens_.current().kind != TokenKind::block_end) {
      if (tokens_.current().kind == TokenKind::end) tokens_.unexpected();
      tokens_.take();
    }
  }

  Statement unsupported(std::string name) {
    Statement statement = make(StatementKind::unsupported, std::move(name));
    skip_to_end();
    return statement;
  }

  Statement conditional() {
    return softly(true, [&] { return branches(); });
  }

  Statement branches() {
    Statement statement = make(StatementKind::conditional);
    for (;;) {
      Statement::Branch branch;
      branch.condition = known(expressions_.tuple(false));
      end_tag();
      branch.body = block({"elif", "else", "endif"});
      statement.branches.push_back(std::move(branch));
      if (!tokens_.skip_name("elif")) break;
    }
    if (tokens_.skip_name("else")) {
      statement.branches.push_back({nullptr, body("endif")});
    } else {
      tokens_.take();
      end_tag();
    }
    return statement;
  }

  Statement loop() {
    Statement statement = make(StatementKind::loop);
    statement.targets = targets(false);
    if (!tokens_.skip_name("in")) throw Fault("'in' was expected in a 'for'");
    statement.expression = known(expressions_.tuple(false));
    const auto condition = [&] { return known(expressions_.expression()); };
    if (tokens_.skip_name("if")) statement.condition = softly(false, condition);
    statement.is_recursive = tokens_.skip_name("recursive");
    end_tag();
    ++loops_;
    statement.body = softly(false, [&] { return block({"else", "endfor"}); });
    --loops_;
    if (tokens_.skip_name("else")) {
      statement.otherwise = softly(false, [&] { return body("endfor"); });
    } else {
      tokens_.take();
      end_tag();
    }
    return statement;
  }

  std::string target(bool may_be_member) {
    std::string name = tokens_.expect(TokenKind::name, "a name to assign to");
    for (const char* constant : {"true", "True", "false", "False", "none", "None"}) {
      if (name == constant) throw Fault(fmt::format("cannot assign to '{}'", name));
    }
    if (may_be_member && tokens_.skip_op(".")) {
      name += '.';
      name += tokens_.expect(TokenKind::name, "a name");
    }
    return name;
  }

  std::vector<std::string> targets(bool may_be_members) {
    const bool in_parentheses = tokens_.skip_op("(");
    std::vector<std::string> names = {target(may_be_members)};
    while (tokens_.skip_op(",")) names.push_back(target(may_be_members));
    if (in_parentheses) tokens_.expect_op(")");
    return names;
  }

  // The variable of no name, which holds what a block wrote.
  ExpressionPtr captured() const {
    auto node = std::make_unique<Expression>();
    node->kind = Expression::Kind::variable;
    node->line = tokens_.current().line;
    return node;
  }
  ExpressionPtr piped(ExpressionPtr first) { return expressions_.filters(std::move(first)); }

  Statement assignment() {
    Statement statement = make(StatementKind::assign);
    statement.targets = targets(true);
    if (tokens_.skip_op("=")) {
      statement.expression = known(expressions_.tuple());
      end_tag();
      return statement;
    }
    statement.kind = StatementKind::assign_block;
    if (statement.targets.size() != 1) throw Fault("a block cannot be assigned to several names");
    statement.expression = softly(false, [&] { return known(piped(captured())); });
    statement.body = separate_body("endset");
    return statement;
  }

  Statement macro() {
    Statement statement = make(StatementKind::macro);
    statement.name = target(false);
    tokens_.expect_op("(");
    parameters(statement);
    macro_body(statement, "endmacro");
    return statement;
  }

  Statement call_block() {
    Statement statement = make(StatementKind::call_block, "caller");
    if (tokens_.skip_op("(")) parameters(statement);
    statement.expression = known(expressions_.expression());
    if (statement.expression->kind != Expression::Kind::call) {
      throw Fault("a call was expected behind 'call'");
    }
    macro_body(statement, "endcall");
    return statement;
  }

  void macro_body(Statement& statement, std::string_view end) {
    const ExpressionParser::Seen outer = std::exchange(expressions_.seen, {});
    statement.body = separate_body(end);
    statement.has_caller = expressions_.seen.caller;
    statement.has_varargs = expressions_.seen.varargs;
    statement.has_kwargs = expressions_.seen.kwargs;
    expressions_.seen = outer;
  }

  void parameters(Statement& statement) {
    while (!tokens_.skip_op(")")) {
      if (!statement.parameters.empty()) tokens_.expect_op(",");
      Statement::Parameter parameter{target(false), nullptr};
      if (tokens_.skip_op("=")) {
        parameter.otherwise = known(expressions_.expression());
      } else if (!statement.parameters.empty() && statement.parameters.back().otherwise) {
        throw Fault("a parameter without default behind one with a default");
      }
      statement.parameters.push_back(std::move(parameter));
    }
  }

  Statement scope() {
    Statement statement = make(StatementKind::scope);
    while (tokens_.current().kind != TokenKind::block_end) {
      if (!statement.targets.empty()) tokens_.expect_op(",");
      statement.targets.push_back(target(false));
      tokens_.expect_op("=");
      statement.values.push_back(known(expressions_.expression()));
    }
    statement.body = softly(false, [&] { return body("endwith"); });
    return statement;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;
  bool soft_ = false;  // in an "if"
};

}  // namespace

Block parse(std::vector<Token> tokens, Place& place) {
  return StatementParser(std::move(tokens), place).whole();
}

}  // namespace weft::chat
