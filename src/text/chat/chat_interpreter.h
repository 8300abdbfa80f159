// Execution of a chat template.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat/chat_methods.h"
#include "text/chat/chat_syntax.h"

namespace weft::chat {

/// What a template sees besides its own variables.
struct Context {
  std::map<std::string, Value, std::less<>> variables;
  /// What strftime_now() tells, as "YYYY-MM-DD". Without it there is no strftime_now: a result
  /// must not depend on the day.
  std::optional<std::string> today;
};

/// One execution of one template.
class Interpreter {
 public:
  /// `place` is kept at the line that is executed.
  Interpreter(const Context& context, Place& place, std::size_t most_steps = max_steps);
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  ~Interpreter();

  /// What the template writes. Fault if it does what it may not, or more of it than it may.
  Text run(const Block& program);

 private:
  enum class Flow { normal, next_item, leave_loop };
  using Frame = std::map<std::string, Value, std::less<>>;

  void descend();
  Flow execute(const Block& block);
  Flow execute(const Statement& statement);
  Flow conditional(const Statement& statement);
  Flow loop(const Statement& statement, const Value& items, int depth);
  void call_block(const Statement& statement);
  /// The variables of the scopes between the template's own and the current one.
  std::shared_ptr<const Frame> scope() const;
  void assign(const Statement& statement);
  void assign_to(const std::string& target, Value value);
  void bind(const std::vector<std::string>& targets, const Value& value);
  void write(const Text& text);
  /// What `block` writes, filtered by `filter`, in a scope of its own.
  Value captured(const Block& block, const Expression& filter);

  Value evaluate(const Expression& node);
  Value variable(const std::string& name) const;
  Value dict(const Expression& node);
  Value comparison(const Expression& node);
  Value concatenation(const Expression& node);
  Value call(const Expression& node);
  Value call(const Value& callee, const Arguments& given);
  Value call_loop(const Loop& loop, const Arguments& arguments);
  Value call_function(const std::string& name, const Arguments& arguments);
  Value call_macro(const Function& function, const Arguments& arguments);
  void bind_arguments(const Statement& macro, const Arguments& arguments);
  Value make_namespace(const Arguments& arguments);
  Arguments arguments(const Expression& node);

  const Context& context_;
  Place& place_;
  Budget budget_;
  std::vector<Frame> frames_;
  std::size_t base_ = 0;  // frames below belong to the caller of the current macro
  Text* output_ = nullptr;
  int depth_ = 0;
  std::vector<std::shared_ptr<Namespace>> namespaces_;  // emptied at the end: they may be cyclic
};

}  // namespace weft::chat
