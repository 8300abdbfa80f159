#include "text/chat/chat_interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/chat/chat_operators.h"
#include "text/chat/chat_print.h"

namespace weft::chat {
namespace {

using StatementKind = Statement::Kind;

constexpr std::size_t max_output = std::size_t{64} << 20;
constexpr int max_depth = 600;  // of blocks and expressions, macros that call each other included

}  // namespace

Interpreter::Interpreter(const Context& context, Place& place, std::size_t most_steps)
    : context_(context), place_(place), budget_(most_steps), frames_(1, context.variables) {}

Interpreter::~Interpreter() {
  for (const auto& space : namespaces_) space->members.clear();
}

Text Interpreter::run(const Block& program) {
  Text output;
  output_ = &output;
  execute(program);
  return output;
}

void Interpreter::write(const Text& text) {
  budget_.bytes(text.size());
  output_->append(text);
  if (output_->size() > max_output) {
    throw Fault(fmt::format("the template writes more than {} bytes", max_output));
  }
}

void Interpreter::descend() {
  if (++depth_ > max_depth) throw Fault("blocks, expressions and macros are nested too deeply");
}

Interpreter::Flow Interpreter::execute(const Block& block) {
  descend();
  Flow flow = Flow::normal;
  for (const Statement& statement : block) {
    flow = execute(statement);
    if (flow != Flow::normal) break;
  }
  --depth_;
  return flow;
}

Interpreter::Flow Interpreter::execute(const Statement& statement) {
  place_.line = statement.line;
  budget_.steps(1);
  switch (statement.kind) {
    case StatementKind::text:
      budget_.bytes(statement.name.size());
      output_->append(statement.name);
      break;
    case StatementKind::output:
      write(to_text(evaluate(*statement.expression), budget_));
      break;
    case StatementKind::conditional:
      return conditional(statement);
    case StatementKind::loop:
      return loop(statement, evaluate(*statement.expression), 1);
    case StatementKind::assign:
      assign(statement);
      break;
    case StatementKind::assign_block:
      assign_to(statement.targets.front(), captured(statement.body, *statement.expression));
      break;
    case StatementKind::filter_block:
      write(to_text(captured(statement.body, *statement.expression), budget_));
      break;
    case StatementKind::macro:
      frames_.back()[statement.name] = {
          std::make_shared<const Function>(Function{statement.name, {}, &statement, scope()})};
      break;
    case StatementKind::call_block:
      call_block(statement);
      break;
    case StatementKind::unsupported:
      throw Fault(fmt::format("the statement '{}' is not supported", statement.name));
    case StatementKind::scope: {
      Frame frame;
      for (std::size_t i = 0; i < statement.targets.size(); ++i) {
        frame[statement.targets[i]] = evaluate(*statement.values[i]);
      }
      frames_.push_back(std::move(frame));
      const Flow flow = execute(statement.body);
      frames_.pop_back();
      return flow;
    }
    case StatementKind::leave_loop:
      return Flow::leave_loop;
    case StatementKind::next_item:
      return Flow::next_item;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::conditional(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    if (branch.condition && !is_true(evaluate(*branch.condition))) continue;
    return execute(branch.body);
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::loop(const Statement& statement, const Value& over, int depth) {
  std::shared_ptr<const List> items = items_of(over, budget_);
  if (statement.condition) {
    std::vector<Value> chosen;
    for (const Value& item : items->items()) {
      frames_.emplace_back();
      bind(statement.targets, item);
      if (is_true(evaluate(*statement.condition))) chosen.push_back(item);
      frames_.pop_back();
    }
    budget_.bytes(chosen.size() * sizeof(Value));
    items = std::make_shared<const List>(std::move(chosen));
  }
  if (items->items().empty()) {
    frames_.emplace_back();
    const Flow flow = execute(statement.otherwise);
    frames_.pop_back();
    return flow;
  }
  const auto state =
      std::make_shared<Loop>(items, statement.is_recursive ? &statement : nullptr, depth);
  for (const Value& item : items->items()) {
    budget_.steps(1);
    state->advance();
    frames_.emplace_back();
    frames_.back()["loop"] = {std::shared_ptr<const Loop>(state)};
    bind(statement.targets, item);
    const Flow flow = execute(statement.body);
    frames_.pop_back();
    if (flow == Flow::leave_loop) break;
  }
  return Flow::normal;
}

void Interpreter::assign(const Statement& statement) {
  const Value value = evaluate(*statement.expression);
  bind(statement.targets, value);
}

void Interpreter::bind(const std::vector<std::string>& targets, const Value& value) {
  if (targets.size() == 1) return assign_to(targets.front(), value);
  const auto items = items_of(value, budget_);
  if (items->items().size() != targets.size()) {
    throw Fault(fmt::format("{} values cannot be assigned to {} names", items->items().size(),
                            targets.size()));
  }
  for (std::size_t i = 0; i < targets.size(); ++i) assign_to(targets[i], items->items()[i]);
}

void Interpreter::assign_to(const std::string& target, Value value) {
  const std::size_t dot = target.find('.');
  if (dot == std::string::npos) {
    frames_.back()[target] = std::move(value);
    return;
  }
  const Value holder = variable(target.substr(0, dot));
  Namespace* space = holder.space();
  if (space == nullptr) fault_type(holder, "is no namespace, so its members cannot be assigned");
  const std::string name = target.substr(dot + 1);
  if (name.starts_with('_')) throw Fault("members of a namespace cannot start with '_'");
  space->members[name] = std::move(value);
}

Value Interpreter::captured(const Block& block, const Expression& filter) {
  Text written;
  Text* const outer = std::exchange(output_, &written);
  frames_.emplace_back();
  execute(block);
  frames_.pop_back();
  output_ = outer;
  frames_.emplace_back();
  frames_.back()[""] = string_value(std::move(written));
  Value result = evaluate(filter);
  frames_.pop_back();
  return result;
}

std::shared_ptr<const Interpreter::Frame> Interpreter::scope() const {
  const std::size_t first = std::max<std::size_t>(base_, 1);
  if (frames_.size() <= first) return nullptr;
  auto all = std::make_shared<Frame>();
  for (std::size_t i = first; i < frames_.size(); ++i) {
    for (const auto& [name, value] : frames_[i]) (*all)[name] = value;
  }
  return all;
}

void Interpreter::call_block(const Statement& statement) {
  const Expression& node = *statement.expression;
  const Value callee = evaluate(*node.operands.front());
  Arguments given = arguments(node);
  given.named.emplace_back(
      "caller",
      Value{std::make_shared<const Function>(Function{"caller", {}, &statement, scope()})});
  place_.line = node.line;
  write(to_text(call(callee, given), budget_));
}

// The arguments as variables of the current scope, which is the macro's own.
void Interpreter::bind_arguments(const Statement& macro, const Arguments& arguments) {
  const std::size_t count = macro.parameters.size();
  if (arguments.positional.size() > count && !macro.has_varargs) {
    throw Fault(fmt::format("the macro {} takes {} arguments, not {}", macro.name, count,
                            arguments.positional.size()));
  }
  Frame& frame = frames_.back();
  Dict others;
  if (macro.has_caller) frame["caller"] = undefined_value("no caller is defined");
  for (const auto& [name, value] : arguments.named) {
    const auto at = std::find_if(macro.parameters.begin(), macro.parameters.end(),
                                 [&name = name](const auto& p) { return p.name == name; });
    if (at != macro.parameters.end()) continue;
    if (name == "caller" && macro.has_caller) {
      frame["caller"] = value;
    } else if (macro.has_kwargs) {
      others.set(name, value, false);
    } else {
      throw Fault(fmt::format("the macro {} has no parameter '{}'", macro.name, name));
    }
  }
  if (macro.has_kwargs) frame["kwargs"] = dict_value(std::move(others));
  if (macro.has_varargs) {
    const std::size_t first = std::min(count, arguments.positional.size());
    frame["varargs"] =
        tuple_value({arguments.positional.begin() + static_cast<std::ptrdiff_t>(first),
                     arguments.positional.end()});
  }
  for (std::size_t i = 0; i < count; ++i) {
    const Statement::Parameter& parameter = macro.parameters[i];
    const Value* given = arguments.find(i, parameter.name);
    Value value = given != nullptr ? *given
                  : parameter.otherwise
                      ? evaluate(*parameter.otherwise)
                      : undefined_value(fmt::format("'{}' is undefined", parameter.name));
    frames_.back()[parameter.name] = std::move(value);
  }
}

Value Interpreter::call_macro(const Function& function, const Arguments& arguments) {
  const std::size_t outer_base = std::exchange(base_, frames_.size());
  if (function.scope != nullptr) {
    budget_.steps(function.scope->size());
    frames_.push_back(*function.scope);
  }
  frames_.emplace_back();
  bind_arguments(*function.macro, arguments);
  Text written;
  Text* const outer = std::exchange(output_, &written);
  execute(function.macro->body);
  output_ = outer;
  frames_.resize(base_);
  base_ = outer_base;
  return string_value(std::move(written));
}

Value Interpreter::call_loop(const Loop& of, const Arguments& arguments) {
  arguments.allow("loop", {""});
  if (of.statement() == nullptr) throw Fault("a loop that is not 'recursive' cannot be called");
  if (arguments.positional.empty()) throw Fault("loop: an argument is missing");
  Text written;
  Text* const outer = std::exchange(output_, &written);
  loop(*of.statement(), arguments.positional.front(), of.depth() + 1);
  output_ = outer;
  return string_value(std::move(written));
}

}  // namespace weft::chat
