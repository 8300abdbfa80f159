#include "text/chat/chat_expressions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>

#include "text/chat/chat_filters.h"

namespace weft::chat {
namespace {

using Kind = Expression::Kind;

void add(Expression& node, ExpressionPtr operand) {
  node.depth = std::max(node.depth, operand->depth + 1);
  if (node.depth > max_syntax_depth) {
    throw Fault(fmt::format("an expression nested more than {} deep", max_syntax_depth));
  }
  node.operands.push_back(std::move(operand));
}

ExpressionPtr with(ExpressionPtr node, ExpressionPtr a, ExpressionPtr b = nullptr) {
  add(*node, std::move(a));
  if (b) add(*node, std::move(b));
  return node;
}

// Counts how deep the parser itself is, for as long as it lives.
class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) {
    if (++depth_ > max_syntax_depth) {
      throw Fault(fmt::format("expressions nested more than {} deep", max_syntax_depth));
    }
  }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
  ~Deeper() { --depth_; }

 private:
  int& depth_;
};

template <class T>
T number_from(const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Fault(fmt::format("the number {} is out of range", text));
  }
  return value;
}

}  // namespace

ExpressionPtr ExpressionParser::make(Kind kind, std::string name) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = tokens_.current().line;
  node->name = std::move(name);
  return node;
}

bool ExpressionParser::at_tuple_end() const {
  const Token& token = tokens_.current();
  return token.kind == TokenKind::variable_end || token.kind == TokenKind::block_end ||
         token.is_op(")") || token.is_name("recursive");
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional) {
  ExpressionPtr first = expression(with_conditional);
  if (!tokens_.current().is_op(",")) return first;
  ExpressionPtr node = with(make(Kind::tuple), std::move(first));
  while (tokens_.skip_op(",") && !at_tuple_end()) add(*node, expression(with_conditional));
  return node;
}

ExpressionPtr ExpressionParser::expression(bool with_conditional) {
  const Deeper deeper(depth_);
  const std::size_t known = unknown_.size();
  ExpressionPtr node = logical_or();
  const bool is_conditional = with_conditional && tokens_.current().is_name("if");
  while (with_conditional && tokens_.skip_name("if")) {
    ExpressionPtr choice = make(Kind::conditional);
    add(*choice, std::move(node));
    add(*choice, logical_or());
    if (tokens_.skip_name("else")) add(*choice, expression());
    node = std::move(choice);
  }
  if (is_conditional) unknown_.resize(known);
  return node;
}

void ExpressionParser::check_names(bool may_be_unknown) {
  if (!may_be_unknown && !unknown_.empty()) throw Fault(unknown_.front());
  unknown_.clear();
}

ExpressionPtr ExpressionParser::logical_or() {
  ExpressionPtr left = logical_and();
  while (tokens_.skip_name("or"))
    left = with(make(Kind::logical_or), std::move(left), logical_and());
  return left;
}

ExpressionPtr ExpressionParser::logical_and() {
  ExpressionPtr left = logical_not();
  while (tokens_.skip_name("and")) {
    left = with(make(Kind::logical_and), std::move(left), logical_not());
  }
  return left;
}

ExpressionPtr ExpressionParser::logical_not() {
  const Deeper deeper(depth_);
  if (!tokens_.skip_name("not")) return comparison();
  ExpressionPtr node = make(Kind::logical_not);
  return with(std::move(node), logical_not());
}

ExpressionPtr ExpressionParser::comparison() {
  constexpr std::array<std::string_view, 6> operators = {"==", "!=", "<", "<=", ">", ">="};
  ExpressionPtr first = sum();
  ExpressionPtr node;
  for (;;) {
    const Token& token = tokens_.current();
    std::string name;
    if (token.kind == TokenKind::op &&
        std::find(operators.begin(), operators.end(), token.text) != operators.end()) {
      name = token.text;
    } else if (token.is_name("in")) {
      name = "in";
    } else if (token.is_name("not") && tokens_.ahead().is_name("in")) {
      name = "not in";
      tokens_.take();
    } else {
      break;
    }
    tokens_.take();
    if (!node) node = with(make(Kind::comparison), std::move(first));
    node->names.push_back(std::move(name));
    add(*node, sum());
  }
  return node ? std::move(node) : std::move(first);
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = concatenation();
  while (tokens_.current().is_op("+") || tokens_.current().is_op("-")) {
    ExpressionPtr node = make(Kind::arithmetic, tokens_.take().text);
    left = with(std::move(node), std::move(left), concatenation());
  }
  return left;
}

ExpressionPtr ExpressionParser::concatenation() {
  ExpressionPtr first = product();
  if (!tokens_.current().is_op("~")) return first;
  ExpressionPtr node = with(make(Kind::concatenate), std::move(first));
  while (tokens_.skip_op("~")) add(*node, product());
  return node;
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr left = power();
  const auto at = [&](std::string_view op) { return tokens_.current().is_op(op); };
  while (at("*") || at("/") || at("//") || at("%")) {
    ExpressionPtr node = make(Kind::arithmetic, tokens_.take().text);
    left = with(std::move(node), std::move(left), power());
  }
  return left;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary(true);
  while (tokens_.current().is_op("**")) {
    ExpressionPtr node = make(Kind::arithmetic, tokens_.take().text);
    left = with(std::move(node), std::move(left), unary(true));
  }
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const Deeper deeper(depth_);
  ExpressionPtr node;
  if (tokens_.current().is_op("-") || tokens_.current().is_op("+")) {
    node = make(tokens_.current().is_op("-") ? Kind::negate : Kind::plus);
    tokens_.take();
    node = with(std::move(node), unary(false));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filters ? filters_and_tests(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::primary() {
  const Token& token = tokens_.current();
  ExpressionPtr node = make(Kind::constant);
  switch (token.kind) {
    case TokenKind::name:
      if (token.text == "true" || token.text == "True") {
        node->value = bool_value(true);
      } else if (token.text == "false" || token.text == "False") {
        node->value = bool_value(false);
      } else if (token.text == "none" || token.text == "None") {
        node->value = none_value();
      } else {
        node->kind = Kind::variable;
        node->name = token.text;
        seen.caller = seen.caller || token.text == "caller";
        seen.varargs = seen.varargs || token.text == "varargs";
        seen.kwargs = seen.kwargs || token.text == "kwargs";
      }
      tokens_.take();
      return node;
    case TokenKind::string: {
      std::string text;
      while (tokens_.current().kind == TokenKind::string) text += tokens_.take().text;
      node->value = string_value(text);
      return node;
    }
    case TokenKind::integer:
      node->value = int_value(number_from<std::int64_t>(tokens_.take().text));
      return node;
    case TokenKind::real:
      node->value = float_value(number_from<double>(tokens_.take().text));
      return node;
    default:
      if (token.is_op("(")) return parenthesized();
      if (token.is_op("[")) return list();
      if (token.is_op("{")) return dict();
      tokens_.unexpected();
  }
}

ExpressionPtr ExpressionParser::parenthesized() {
  tokens_.expect_op("(");
  if (tokens_.skip_op(")")) return make(Kind::tuple);
  ExpressionPtr node = tuple();
  tokens_.expect_op(")");
  return node;
}

ExpressionPtr ExpressionParser::list() {
  ExpressionPtr node = make(Kind::list);
  tokens_.expect_op("[");
  while (!tokens_.skip_op("]")) {
    if (!node->operands.empty()) {
      tokens_.expect_op(",");
      if (tokens_.skip_op("]")) break;
    }
    add(*node, expression());
  }
  return node;
}

ExpressionPtr ExpressionParser::dict() {
  ExpressionPtr node = make(Kind::dict);
  tokens_.expect_op("{");
  while (!tokens_.skip_op("}")) {
    if (!node->operands.empty()) {
      tokens_.expect_op(",");
      if (tokens_.skip_op("}")) break;
    }
    add(*node, expression());
    tokens_.expect_op(":");
    add(*node, expression());
  }
  return node;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
  for (;;) {
    if (tokens_.skip_op(".")) {
      node = member(std::move(node));
    } else if (tokens_.skip_op("[")) {
      node = subscript(std::move(node));
    } else if (tokens_.current().is_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::member(ExpressionPtr node) {
  if (tokens_.current().kind == TokenKind::integer) {
    ExpressionPtr index = make(Kind::constant);
    index->value = int_value(number_from<std::int64_t>(tokens_.take().text));
    return with(make(Kind::subscript), std::move(node), std::move(index));
  }
  ExpressionPtr result = make(Kind::attribute);
  result->name = tokens_.expect(TokenKind::name, "a name");
  return with(std::move(result), std::move(node));
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr node) {
  const auto none = [this] {
    ExpressionPtr value = make(Kind::constant);
    value->value = none_value();
    return value;
  };
  const auto at_end = [this] {
    return tokens_.current().is_op(":") || tokens_.current().is_op("]");
  };
  ExpressionPtr result = make(Kind::subscript);
  add(*result, std::move(node));
  if (tokens_.current().is_op("]")) tokens_.unexpected();
  add(*result, tokens_.current().is_op(":") ? none() : expression());
  if (tokens_.skip_op(":")) {
    result->kind = Kind::slice;
    add(*result, at_end() ? none() : expression());
    const bool has_step = tokens_.skip_op(":");
    add(*result, !has_step || at_end() ? none() : expression());
  }
  tokens_.expect_op("]");
  return result;
}

void ExpressionParser::arguments(Expression& node) {
  tokens_.expect_op("(");
  for (bool first = true; !tokens_.skip_op(")"); first = false) {
    if (!first) {
      tokens_.expect_op(",");
      if (tokens_.skip_op(")")) return;
    }
    if (tokens_.current().is_op("*") || tokens_.current().is_op("**")) {
      ExpressionPtr& target = tokens_.current().is_op("*") ? node.star : node.double_star;
      if (target) throw Fault("two times * or ** in a call");
      tokens_.take();
      target = expression();
      node.depth = std::max(node.depth, target->depth + 1);
    } else if (tokens_.current().kind == TokenKind::name && tokens_.ahead().is_op("=")) {
      std::string name = tokens_.take().text;
      tokens_.take();
      ExpressionPtr value = expression();
      node.depth = std::max(node.depth, value->depth + 1);
      node.named.emplace_back(std::move(name), std::move(value));
    } else {
      if (!node.named.empty()) throw Fault("a positional argument behind a named one");
      add(node, expression());
    }
  }
}

ExpressionPtr ExpressionParser::call(ExpressionPtr callee) {
  ExpressionPtr node = with(make(Kind::call), std::move(callee));
  arguments(*node);
  return node;
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr node) {
  for (;;) {
    if (tokens_.current().is_op("|")) {
      node = filters(std::move(node));
    } else if (tokens_.skip_name("is")) {
      node = test(std::move(node));
    } else if (tokens_.current().is_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr input) {
  while (tokens_.skip_op("|")) input = one_filter(std::move(input));
  return input;
}

ExpressionPtr ExpressionParser::one_filter(ExpressionPtr input) {
  ExpressionPtr node = make(Kind::filter);
  add(*node, std::move(input));
  node->name = tokens_.expect(TokenKind::name, "the name of a filter");
  node->filter = find_filter(node->name);
  if (node->filter == nullptr && !is_filter_of_jinja(node->name)) {
    unknown_.push_back(fmt::format("there is no filter '{}'", node->name));
  }
  if (tokens_.current().is_op("(")) arguments(*node);
  return node;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr input) {
  ExpressionPtr negation = tokens_.skip_name("not") ? make(Kind::logical_not) : nullptr;
  ExpressionPtr node = make(Kind::test);
  add(*node, std::move(input));
  node->name = tokens_.expect(TokenKind::name, "the name of a test");
  node->test = find_test(node->name);
  if (node->test == nullptr) unknown_.push_back(fmt::format("there is no test '{}'", node->name));
  const Token& next = tokens_.current();
  const bool starts_operand = next.kind == TokenKind::name || next.kind == TokenKind::string ||
                              next.kind == TokenKind::integer || next.kind == TokenKind::real ||
                              next.is_op("[") || next.is_op("{");
  const bool is_operator = next.is_name("else") || next.is_name("or") || next.is_name("and");
  if (next.is_op("(")) {
    arguments(*node);
  } else if (next.is_name("is")) {
    throw Fault("tests with 'is' cannot be chained");
  } else if (starts_operand && !is_operator) {
    add(*node, postfix(primary()));
  }
  return negation ? with(std::move(negation), std::move(node)) : std::move(node);
}

}  // namespace weft::chat
