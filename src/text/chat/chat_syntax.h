// The syntax tree of a chat template.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/chat/chat_lexer.h"
#include "text/chat/chat_value.h"

namespace weft::chat {

struct Filter;
struct Test;

struct Expression {
  enum class Kind {
    constant,     // `value`
    variable,     // `name`
    list,         // operands
    tuple,        // operands
    dict,         // operands: key, value, key, value, …
    attribute,    // operands[0].name
    subscript,    // operands[0][operands[1]]
    slice,        // operands[0][operands[1]:operands[2]:operands[3]]
    call,         // operands[0](arguments)
    filter,       // operands[0] | filter(arguments)
    test,         // operands[0] is test(arguments)
    negate,       // -operands[0]
    plus,         // +operands[0]
    logical_not,  // not operands[0]
    logical_and,  // both operands
    logical_or,
    arithmetic,   // `name` is the operator
    concatenate,  // all operands
    comparison,   // operands[0] names[0] operands[1] names[1] operands[2] …
    conditional,  // operands[0] if operands[1] else operands[2]; that may be missing
  };

  Kind kind = Kind::constant;
  int line = 0;
  int depth = 1;  // of the tree below
  std::string name;
  Value value;
  std::vector<std::unique_ptr<Expression>> operands;  // of call, filter and test: then arguments
  std::vector<std::pair<std::string, std::unique_ptr<Expression>>> named;  // arguments by name
  std::vector<std::string> names;
  std::unique_ptr<Expression> star;         // more arguments from a list
  std::unique_ptr<Expression> double_star;  // and from a dictionary
  const Filter* filter = nullptr;           // null: `name` is not supported
  const Test* test = nullptr;
};
using ExpressionPtr = std::unique_ptr<Expression>;

struct Statement {
  enum class Kind {
    text,          // `name` is what to write
    output,        // expression
    conditional,   // branches: body, and condition unless it is the "else"
    loop,          // for targets in expression if condition: body, else otherwise
    assign,        // set targets = expression
    assign_block,  // set targets: body; `expression`, if any, filters the variable of no name
    macro,         // name, parameters: body
    call_block,    // expression is a call; `body` with parameters is its argument "caller"
    filter_block,  // as assign_block, but written
    scope,         // with targets = values: body
    leave_loop,
    next_item,
    unsupported,  // a statement of Jinja, `name`, that is an error when it is reached
  };
  struct Branch {
    ExpressionPtr condition;  // null: always
    std::vector<Statement> body;
  };
  struct Parameter {
    std::string name;
    ExpressionPtr otherwise;  // null: none
  };

  Kind kind = Kind::text;
  int line = 0;
  std::string name;
  ExpressionPtr expression;
  ExpressionPtr condition;
  std::vector<std::string> targets;  // several: unpacked. "a.b" is a member of a namespace
  std::vector<ExpressionPtr> values;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  bool is_recursive = false;  // of a loop
  bool has_caller = false;    // of a macro: it asks for this variable
  bool has_varargs = false;
  bool has_kwargs = false;
  std::vector<Statement> body;
  std::vector<Statement> otherwise;
};
using Block = std::vector<Statement>;

/// Deepest nesting of a template's expressions, and of its blocks.
inline constexpr int max_syntax_depth = 150;

/// Reads a whole template. Fault, with its place, for what this program does not understand.
Block parse(std::vector<Token> tokens, Place& place);

}  // namespace weft::chat
