#include "text/chat/chat_json.h"

#include <fmt/format.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "io/json.h"

namespace weft::chat {
namespace {

// Builds values as they are read. (The library's own tree would sort the members.)
class Builder final : public JsonSink {
 public:
  Value take() { return std::move(root_); }

  void null() override { put(none_value()); }
  void boolean(bool value) override { put(bool_value(value)); }
  void integer(std::int64_t value) override { put(int_value(value)); }
  void natural(std::uint64_t value) override {
    if (value > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) too_large();
    put(int_value(static_cast<std::int64_t>(value)));
  }
  void real(double value, std::string_view digits) override {
    if (digits.find_first_of(".eE") == std::string_view::npos) too_large();
    put(float_value(value));
  }
  void string(std::string value) override { put(string_value(Text(std::move(value), true))); }
  void begin_object() override { open(true); }
  bool key(std::string name) override {
    open_.back().key = std::move(name);
    return open_.back().dict.find(open_.back().key) == nullptr;
  }
  void end_object() override { close(); }
  void begin_array() override { open(false); }
  void end_array() override { close(); }

 private:
  struct Open {
    bool is_dict = false;
    std::string key;
    Dict dict;
    std::vector<Value> items;
  };

  [[noreturn]] static void too_large() {
    throw Fault("an integer of more than 64 bits (signed) in a chat request");
  }

  void open(bool is_dict) {
    open_.emplace_back();
    open_.back().is_dict = is_dict;
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    put(done.is_dict ? dict_value(std::move(done.dict)) : list_value(std::move(done.items)));
  }

  void put(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Open& target = open_.back(); target.is_dict) {
      target.dict.set(target.key, std::move(value), true);
    } else {
      target.items.push_back(std::move(value));
    }
  }

  std::vector<Open> open_;
  Value root_;
};

}  // namespace

Value value_from_json(std::string_view text) {
  Builder builder;
  try {
    parse_json(text, "JSON", {.bytes = text.size(), .depth = max_value_depth}, builder);
  } catch (const UserError& error) {
    throw Fault(error.what());
  }
  return builder.take();
}

}  // namespace weft::chat
