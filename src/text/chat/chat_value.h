// Values of the chat template language: Python's, as far as templates use them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "text/chat/chat_text.h"

namespace weft::chat {

/// What goes wrong while a template is read or executed. `ChatTemplate` turns it into a UserError
/// that names file and line.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a template says with raise_exception: it refuses the conversation.
class Refusal : public Fault {
 public:
  using Fault::Fault;
};

/// What one rendering may still use. Every operation takes from it, so that a hostile template
/// ends with a Fault instead of running on.
class Budget {
 public:
  void steps(std::size_t count);
  void bytes(std::size_t count);

 private:
  std::size_t steps_ = 0;
  std::size_t bytes_ = 0;
};

/// Deepest nesting of lists and dictionaries.
inline constexpr int max_value_depth = 100;

class List;
class Dict;
class Loop;
struct Namespace;
struct Function;

/// A variable or member that does not exist; `what` says which. Prints as nothing, is false, and
/// most other uses of it are a Fault.
struct Undefined {
  std::shared_ptr<const std::string> what;
};
struct None {};

/// A value. Lists, dictionaries and strings are shared and never change.
struct Value {
  std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const Text>,
               std::shared_ptr<const List>, std::shared_ptr<const Dict>, std::shared_ptr<Namespace>,
               std::shared_ptr<const Loop>, std::shared_ptr<const Function>>
      data;

  template <class T>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<T>(data);
  }
  [[nodiscard]] bool is_undefined() const { return is<Undefined>(); }
  [[nodiscard]] bool is_none() const { return is<None>(); }
  /// Null if it is of another type.
  [[nodiscard]] const Text* text() const { return shared<Text>(); }
  [[nodiscard]] const List* list() const { return shared<List>(); }
  [[nodiscard]] const Dict* dict() const { return shared<Dict>(); }
  [[nodiscard]] const Loop* loop() const { return shared<Loop>(); }
  [[nodiscard]] const Function* function() const { return shared<Function>(); }
  [[nodiscard]] Namespace* space() const {
    const auto* held = std::get_if<std::shared_ptr<Namespace>>(&data);
    return held == nullptr ? nullptr : held->get();
  }

 private:
  template <class T>
  const T* shared() const {
    const auto* held = std::get_if<std::shared_ptr<const T>>(&data);
    return held == nullptr ? nullptr : held->get();
  }
};

/// A list or a tuple.
class List {
 public:
  explicit List(std::vector<Value> items, bool is_tuple = false);

  [[nodiscard]] const std::vector<Value>& items() const { return items_; }
  [[nodiscard]] bool is_tuple() const { return is_tuple_; }
  [[nodiscard]] int depth() const { return depth_; }

 private:
  std::vector<Value> items_;
  bool is_tuple_;
  int depth_ = 1;
};

/// A dictionary with strings as keys, in the order of insertion.
class Dict {
 public:
  /// Adds a member, or replaces the value of that name.
  void set(std::string_view key, Value value, bool key_from_user);

  /// Null if there is none.
  [[nodiscard]] const Value* find(std::string_view key) const;
  [[nodiscard]] const std::vector<std::pair<std::string, Value>>& items() const { return items_; }
  /// Does any key come from a request? They are then all taken as such.
  [[nodiscard]] bool user_keys() const { return user_keys_; }
  [[nodiscard]] Value key(std::size_t i) const;
  [[nodiscard]] int depth() const { return depth_; }

 private:
  std::vector<std::pair<std::string, Value>> items_;
  std::map<std::string, std::size_t, std::less<>> index_;  // only when there are many
  bool user_keys_ = false;
  int depth_ = 1;
};

/// namespace(): the one thing that a template can change.
struct Namespace {
  std::map<std::string, Value, std::less<>> members;
};

/// The variable "loop" of a for loop.
class Loop {
 public:
  explicit Loop(std::shared_ptr<const List> items) : items_(std::move(items)) {}
  void advance() { ++index_; }
  [[nodiscard]] Value member(std::string_view name) const;

 private:
  std::shared_ptr<const List> items_;
  std::int64_t index_ = -1;
};

struct Statement;

/// Something that can be called: a function of the language, a method of `self`, or a macro.
struct Function {
  std::string name;
  Value self;                        // undefined unless it is a method
  const Statement* macro = nullptr;  // a statement of the template, which outlives the value
};

Value undefined_value(std::string what);
Value none_value();
Value bool_value(bool value);
Value int_value(std::int64_t value);
Value float_value(double value);
Value string_value(Text text);
Value string_value(std::string_view text, bool from_user = false);
Value list_value(std::vector<Value> items, bool is_tuple = false);
Value dict_value(Dict dict);
Value method_value(std::string_view name, Value self);

/// Python's name of its type: "str", "dict", …
std::string_view type_name(const Value& value);

/// Fault that an undefined value was used, or that this type does not do `what`.
[[noreturn]] void fault_type(const Value& value, std::string_view what);

/// The number if it is an int, float or bool; Fault otherwise.
std::int64_t int_of(const Value& value, std::string_view what);
const Text& text_of(const Value& value, std::string_view what);

}  // namespace weft::chat
