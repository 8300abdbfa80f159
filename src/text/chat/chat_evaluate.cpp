// Evaluation of a template's expressions.
#include <fmt/format.h>

#include <array>

#include "text/chat/chat_date.h"
#include "text/chat/chat_filters.h"
#include "text/chat/chat_interpreter.h"
#include "text/chat/chat_operators.h"
#include "text/chat/chat_print.h"

namespace weft::chat {
namespace {

using Kind = Expression::Kind;

constexpr std::int64_t max_range = 100'000;

constexpr std::array<std::string_view, 5> functions = {"range", "namespace", "dict",
                                                       "raise_exception", "strftime_now"};

Arithmetic arithmetic_of(std::string_view op) {
  if (op == "+") return Arithmetic::add;
  if (op == "-") return Arithmetic::subtract;
  if (op == "*") return Arithmetic::multiply;
  if (op == "/") return Arithmetic::divide;
  if (op == "//") return Arithmetic::floor_divide;
  return op == "%" ? Arithmetic::modulo : Arithmetic::power;
}

bool holds(std::string_view op, const Value& a, const Value& b, Budget& budget) {
  if (op == "==") return equal(a, b, budget);
  if (op == "!=") return !equal(a, b, budget);
  if (op == "in") return contains(b, a, budget);
  if (op == "not in") return !contains(b, a, budget);
  const int order = compare(a, b, budget);
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  return op == ">" ? order > 0 : order >= 0;
}

Value range(const Arguments& arguments, Budget& budget) {
  arguments.allow("range", {"", "", ""});
  std::array<std::int64_t, 3> given{};
  const std::size_t count = arguments.positional.size();
  if (count == 0) throw Fault("range: an argument is missing");
  for (std::size_t i = 0; i < count; ++i) {
    given[i] = int_of(arguments.positional[i], "is no integer");
    constexpr std::int64_t limit = std::int64_t{1} << 40;
    if (given[i] > limit || given[i] < -limit) throw Fault("range: a number is too large");
  }
  const std::int64_t start = count == 1 ? 0 : given[0];
  const std::int64_t stop = count == 1 ? given[0] : given[1];
  const std::int64_t step = count == 3 ? given[2] : 1;
  if (step == 0) throw Fault("range: the step is zero");
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (static_cast<std::int64_t>(items.size()) == max_range) {
      throw Fault(fmt::format("range: more than {} numbers", max_range));
    }
    budget.steps(1);
    items.push_back(int_value(i));
  }
  return list_value(std::move(items), List::Kind::range);
}

// The named arguments, after those of the only positional one: a dictionary, or a list of pairs.
Dict dict_from(std::string_view callee, const Arguments& arguments, Budget& budget) {
  Dict result;
  if (arguments.positional.size() > 1) {
    throw Fault(fmt::format("{}: more than one positional argument", callee));
  }
  if (!arguments.positional.empty()) {
    const Value& given = arguments.positional.front();
    if (given.dict() != nullptr) {
      result = *given.dict();
    } else {
      const auto pairs = items_of(given, budget);
      for (const Value& item : pairs->items()) {
        const auto pair = items_of(item, budget);
        if (pair->items().size() != 2) throw Fault(fmt::format("{}: not a pair", callee));
        result.set(pair->items()[0], pair->items()[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) result.set(name, value, false);
  return result;
}

}  // namespace

Value Interpreter::variable(const std::string& name) const {
  for (std::size_t i = frames_.size(); i > base_; --i) {
    const auto found = frames_[i - 1].find(name);
    if (found != frames_[i - 1].end()) return found->second;
  }
  if (const auto found = frames_.front().find(name); found != frames_.front().end()) {
    return found->second;
  }
  if (name == "strftime_now" && !context_.today) {
    return undefined_value(
        "the template asks for today's date, which would make results depend on the day: give one "
        "with \"chat_template_kwargs\": {\"strftime_now\": \"YYYY-MM-DD\"}");
  }
  for (const std::string_view function : functions) {
    if (function == name) return method_value(name, {});
  }
  return undefined_value(fmt::format("'{}' is undefined", name));
}

Value Interpreter::evaluate(const Expression& node) {
  place_.line = node.line;
  budget_.steps(1);
  descend();
  const auto operand = [&](std::size_t i) { return evaluate(*node.operands[i]); };
  Value result;
  switch (node.kind) {
    case Kind::constant:
      result = node.value;
      break;
    case Kind::variable:
      result = variable(node.name);
      break;
    case Kind::list:
    case Kind::tuple: {
      std::vector<Value> items;
      for (const auto& item : node.operands) items.push_back(evaluate(*item));
      result =
          node.kind == Kind::tuple ? tuple_value(std::move(items)) : list_value(std::move(items));
      break;
    }
    case Kind::dict:
      result = dict(node);
      break;
    case Kind::attribute:
      result = attribute(operand(0), node.name);
      break;
    case Kind::subscript: {
      const Value holder = operand(0);
      result = subscript(holder, operand(1), budget_);
      break;
    }
    case Kind::slice: {
      const Value holder = operand(0);
      const Value start = operand(1);
      const Value stop = operand(2);
      result = slice(holder, start, stop, operand(3), budget_);
      break;
    }
    case Kind::call:
      result = call(node);
      break;
    case Kind::filter: {
      const Value input = operand(0);
      if (node.filter == nullptr) fault_filter(node.name);
      result = node.filter->apply(input, arguments(node), budget_);
      break;
    }
    case Kind::test: {
      const Value input = operand(0);
      if (node.test == nullptr) fault_test(node.name);
      result = bool_value(node.test->holds(input, arguments(node), budget_));
      break;
    }
    case Kind::negate:
      result = negated(operand(0));
      break;
    case Kind::plus:
      result = calculate(Arithmetic::add, int_value(0), operand(0), budget_);
      break;
    case Kind::logical_not:
      result = bool_value(!is_true(operand(0)));
      break;
    case Kind::logical_and:
      result = operand(0);
      if (is_true(result)) result = operand(1);
      break;
    case Kind::logical_or:
      result = operand(0);
      if (!is_true(result)) result = operand(1);
      break;
    case Kind::arithmetic: {
      const Value left = operand(0);
      result = calculate(arithmetic_of(node.name), left, operand(1), budget_);
      break;
    }
    case Kind::concatenate:
      result = concatenation(node);
      break;
    case Kind::comparison:
      result = comparison(node);
      break;
    case Kind::conditional:
      if (is_true(operand(1))) {
        result = operand(0);
      } else if (node.operands.size() > 2) {
        result = operand(2);
      } else {
        result = undefined_value("an 'if' without 'else' gave nothing");
      }
      break;
  }
  --depth_;
  return result;
}

Value Interpreter::dict(const Expression& node) {
  Dict result;
  for (std::size_t i = 0; i + 1 < node.operands.size(); i += 2) {
    Value key = evaluate(*node.operands[i]);
    result.set(std::move(key), evaluate(*node.operands[i + 1]));
  }
  return dict_value(std::move(result));
}

Value Interpreter::comparison(const Expression& node) {
  Value left = evaluate(*node.operands.front());
  for (std::size_t i = 0; i < node.names.size(); ++i) {
    Value right = evaluate(*node.operands[i + 1]);
    if (!holds(node.names[i], left, right, budget_)) return bool_value(false);
    left = std::move(right);
  }
  return bool_value(true);
}

Value Interpreter::concatenation(const Expression& node) {
  Text result;
  for (const auto& operand : node.operands) {
    const Text part = to_text(evaluate(*operand), budget_);
    budget_.bytes(part.size());
    result.append(part);
  }
  return string_value(std::move(result));
}

Arguments Interpreter::arguments(const Expression& node) {
  Arguments result;
  for (std::size_t i = 1; i < node.operands.size(); ++i) {
    result.positional.push_back(evaluate(*node.operands[i]));
  }
  for (const auto& [name, value] : node.named) result.named.emplace_back(name, evaluate(*value));
  if (node.star) {
    const auto more = items_of(evaluate(*node.star), budget_);
    result.positional.insert(result.positional.end(), more->items().begin(), more->items().end());
  }
  if (node.double_star) {
    const Value more = evaluate(*node.double_star);
    if (more.dict() == nullptr) fault_type(more, "is no dictionary behind **");
    for (const Dict::Item& item : more.dict()->items()) {
      result.named.emplace_back(text_of(item.key, "is no name of an argument").str(), item.value);
    }
  }
  return result;
}

Value Interpreter::call(const Expression& node) {
  const Value callee = evaluate(*node.operands.front());
  if (callee.function() == nullptr && callee.loop() == nullptr) {
    fault_type(callee, "cannot be called");
  }
  const Arguments given = arguments(node);
  place_.line = node.line;
  return call(callee, given);
}

Value Interpreter::call(const Value& callee, const Arguments& given) {
  if (const Loop* loop = callee.loop()) return call_loop(*loop, given);
  const Function* function = callee.function();
  if (function == nullptr) fault_type(callee, "cannot be called");
  if (function->macro != nullptr) return call_macro(*function, given);
  if (function->self.is_undefined()) return call_function(function->name, given);
  return call_method(function->self, function->name, given, budget_);
}

Value Interpreter::call_function(const std::string& name, const Arguments& arguments) {
  if (name == "range") return range(arguments, budget_);
  if (name == "namespace") return make_namespace(arguments);
  if (name == "dict") return dict_value(dict_from(name, arguments, budget_));
  const Value* argument = arguments.find(0, name == "raise_exception" ? "message" : "format");
  if (argument == nullptr) throw Fault(fmt::format("{}: an argument is missing", name));
  if (name == "strftime_now") {
    return string_value(format_date(*context_.today, text_of(*argument, "is no format").str()));
  }
  constexpr std::size_t longest = 1000;
  throw Refusal(to_text(*argument, budget_).str().substr(0, longest));
}

Value Interpreter::make_namespace(const Arguments& arguments) {
  auto space = std::make_shared<Namespace>();
  namespaces_.push_back(space);
  const Dict members = dict_from("namespace", arguments, budget_);
  for (const auto& [key, value, id] : members.items()) {
    const std::string& name = text_of(key, "is no name of a member").str();
    if (name.starts_with('_')) throw Fault("members of a namespace cannot start with '_'");
    space->members[name] = value;
  }
  return {std::move(space)};
}

}  // namespace weft::chat
