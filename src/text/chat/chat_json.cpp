#include "text/chat/chat_json.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace weft::chat {
namespace {

using nlohmann::json;

// Receives the parser's events. (The library's own tree would sort the members.)
class Builder : public nlohmann::json_sax<json> {
 public:
  Value take() { return std::move(root_); }

  bool null() override { return put(none_value()); }
  bool boolean(bool value) override { return put(bool_value(value)); }
  bool number_integer(std::int64_t value) override { return put(int_value(value)); }
  bool number_unsigned(std::uint64_t value) override {
    if (value > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) too_large();
    return put(int_value(static_cast<std::int64_t>(value)));
  }
  bool number_float(double value, const std::string& digits) override {
    if (digits.find_first_of(".eE") == std::string::npos) too_large();
    return put(float_value(value));
  }
  bool string(std::string& value) override {
    return put(string_value(Text(std::move(value), true)));
  }
  bool binary(json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool key(std::string& value) override {
    open_.back().key = std::move(value);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    throw Fault(fmt::format("not valid JSON: {}", error.what()));
  }

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

  bool open(bool is_dict) {
    if (open_.size() >= max_value_depth) {
      throw Fault(fmt::format("JSON nested more than {} deep", max_value_depth));
    }
    open_.emplace_back();
    open_.back().is_dict = is_dict;
    return true;
  }

  bool close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    return put(done.is_dict ? dict_value(std::move(done.dict)) : list_value(std::move(done.items)));
  }

  bool put(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Open& target = open_.back(); target.is_dict) {
      target.dict.set(target.key, std::move(value), true);
    } else {
      target.items.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Open> open_;
  Value root_;
};

}  // namespace

Value value_from_json(std::string_view text) {
  Builder builder;
  json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

}  // namespace weft::chat
