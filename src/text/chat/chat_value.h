// Values of the chat template language: Python's, as far as templates use them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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

/// Most steps of one rendering.
inline constexpr std::size_t max_steps = 20'000'000;

/// What one rendering may still use. Every operation takes from it, so that a hostile template
/// ends with a Fault instead of running on.
class Budget {
 public:
  explicit Budget(std::size_t most_steps = max_steps) : most_steps_(most_steps) {}
  void steps(std::size_t count);
  void bytes(std::size_t count);

 private:
  std::size_t most_steps_;
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
struct Iterator;

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
               std::shared_ptr<const Loop>, std::shared_ptr<const Function>,
               std::shared_ptr<Iterator>>
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
  [[nodiscard]] Iterator* iterator() const {
    const auto* held = std::get_if<std::shared_ptr<Iterator>>(&data);
    return held == nullptr ? nullptr : held->get();
  }

 private:
  template <class T>
  const T* shared() const {
    const auto* held = std::get_if<std::shared_ptr<const T>>(&data);
    return held == nullptr ? nullptr : held->get();
  }
};

/// A list, or what else has a length and an order in Python.
class List {
 public:
  enum class Kind { list, tuple, range, keys, values, items };  // the last three of a dictionary

  explicit List(std::vector<Value> items, Kind kind = Kind::list);

  [[nodiscard]] const std::vector<Value>& items() const { return items_; }
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool is_list() const { return kind_ == Kind::list; }
  [[nodiscard]] bool is_tuple() const { return kind_ == Kind::tuple; }
  /// A view of a dictionary: it has items, but no numbers for them.
  [[nodiscard]] bool is_view() const { return kind_ >= Kind::keys; }
  [[nodiscard]] int depth() const { return depth_; }

 private:
  std::vector<Value> items_;
  Kind kind_;
  int depth_ = 1;
};

/// A dictionary, in the order of insertion. Keys are equal as in Python: 1, 1.0 and true are one.
class Dict {
 public:
  struct Item {
    Value key;
    Value value;
    std::string id;  // of the key: the same for equal keys
  };

  /// Adds a member, or replaces the value of that key. Fault for a key that cannot be one.
  void set(Value key, Value value);
  void set(std::string_view key, Value value, bool key_from_user);

  /// Null if there is none. Fault for what cannot be a key.
  [[nodiscard]] const Value* find(std::string_view key) const;
  [[nodiscard]] const Value* find(const Value& key) const;
  [[nodiscard]] const std::vector<Item>& items() const { return items_; }
  [[nodiscard]] int depth() const { return depth_; }

 private:
  [[nodiscard]] std::size_t position(std::string_view id) const;  // the number of items: none

  std::vector<Item> items_;
  std::map<std::string, std::size_t, std::less<>> index_;  // only when there are many
  int depth_ = 1;
};

/// A generator: its items can be had once.
struct Iterator {
  std::function<std::optional<Value>()> next;
};

/// namespace(): the one thing that a template can change.
struct Namespace {
  std::map<std::string, Value, std::less<>> members;
};

struct Statement;

/// The variable "loop" of a for loop.
class Loop {
 public:
  /// `statement`: of a recursive loop, what `loop(items)` does again; else null. `depth`: from 1.
  Loop(std::shared_ptr<const List> items, const Statement* statement, int depth)
      : items_(std::move(items)), statement_(statement), depth_(depth) {}
  void advance() { ++index_; }
  /// Undefined if there is none of that name.
  [[nodiscard]] std::optional<Value> member(std::string_view name) const;
  [[nodiscard]] const Statement* statement() const { return statement_; }
  [[nodiscard]] int depth() const { return depth_; }
  [[nodiscard]] std::int64_t index() const { return index_; }

 private:
  std::shared_ptr<const List> items_;
  const Statement* statement_;
  int depth_;
  std::int64_t index_ = -1;
};

/// Something that can be called: a function of the language, a method of `self`, or a macro.
struct Function {
  std::string name;
  Value self;                        // undefined unless it is a method
  const Statement* macro = nullptr;  // a statement of the template, which outlives the value
  /// Of a macro: the variables that it sees besides the template's own.
  std::shared_ptr<const std::map<std::string, Value, std::less<>>> scope = nullptr;
};

Value undefined_value(std::string what);
Value none_value();
Value bool_value(bool value);
Value int_value(std::int64_t value);
Value float_value(double value);
Value string_value(Text text);
Value string_value(std::string_view text, bool from_user = false);
Value list_value(std::vector<Value> items, List::Kind kind = List::Kind::list);
Value tuple_value(std::vector<Value> items);
Value iterator_value(std::function<std::optional<Value>()> next);
Value dict_value(Dict dict);
Value method_value(std::string_view name, Value self);

/// The same value; all that is a user's in it comes from `source`.
Value with_source(const Value& value, Source source);

/// Python's name of its type: "str", "dict", …
std::string_view type_name(const Value& value);

/// Fault that an undefined value was used, or that this type does not do `what`.
[[noreturn]] void fault_type(const Value& value, std::string_view what);

/// The number if it is an int or bool; Fault otherwise.
std::int64_t int_of(const Value& value, std::string_view what);
const Text& text_of(const Value& value, std::string_view what);

}  // namespace weft::chat
