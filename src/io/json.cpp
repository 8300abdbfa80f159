#include "io/json.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/cancelled.h"
#include "base/error.h"
#include "base/out_of_memory.h"
#include "base/progress_counter.h"
#include "io/file.h"
#include "io/foreign_text.h"

namespace weft {
namespace {

using nlohmann::json;

/// Walks over the text and keeps, for messages, the furthest position that was reached.
class TrackedIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackedIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  TrackedIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  TrackedIterator operator++(int) {
    TrackedIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const TrackedIterator& other) const { return at_ == other.at_; }
  bool operator!=(const TrackedIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

/// "name:line:column" of the character before `position`.
std::string place_of(std::string_view text, std::size_t position, std::string_view where) {
  const std::string_view before = text.substr(0, std::min(position, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t last = before.rfind('\n');
  const std::size_t column =
      last == std::string_view::npos ? before.size() : before.size() - last - 1;
  return fmt::format("{}:{}:{}", where, line, std::max<std::size_t>(column, 1));
}

/// Between the library's parser and a sink: what it refuses and the library does not.
class StrictEvents {
 public:
  StrictEvents(std::string_view text, std::string_view where, const JsonLimits& limits,
               JsonSink& sink)
      : text_(text), where_(where), limits_(limits), sink_(sink), reached_(text.data()) {}

  void parse() {
    const char* const end = text_.data() + text_.size();
    json::sax_parse(TrackedIterator(text_.data(), &reached_), TrackedIterator(end, &reached_),
                    this);
  }

  // Named and called by the library.
  bool null() {
    sink_.null();
    return go_on();
  }
  bool boolean(bool value) {
    sink_.boolean(value);
    return go_on();
  }
  bool number_integer(std::int64_t value) {
    sink_.integer(value);
    return go_on();
  }
  bool number_unsigned(std::uint64_t value) {
    sink_.natural(value);
    return go_on();
  }
  bool number_float(double value, const std::string& digits) {
    sink_.real(value, digits);
    return go_on();
  }
  bool string(std::string& value) {
    sink_.string(std::move(value));
    return go_on();
  }
  static bool binary(json::binary_t& /*value*/) { return false; }  // JSON has none
  bool start_object(std::size_t /*unknown*/) {
    deeper();
    sink_.begin_object();
    return go_on();
  }
  bool key(std::string& name) {
    if (!sink_.key(name)) fail_user("{}: duplicate key \"{}\"", place(), name.substr(0, 200));
    return go_on();
  }
  bool end_object() {
    --depth_;
    sink_.end_object();
    return go_on();
  }
  bool start_array(std::size_t /*unknown*/) {
    deeper();
    sink_.begin_array();
    return go_on();
  }
  bool end_array() {
    --depth_;
    sink_.end_array();
    return go_on();
  }
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const json::exception& error) {
    refuse_foreign_text(text_, where_);
    fail_user("{}: not valid JSON: {}", place(), json_reason(error));
  }

 private:
  static constexpr std::int64_t kEventsBetweenLooks = 4096;

  [[nodiscard]] std::string place() const {
    return place_of(text_, static_cast<std::size_t>(reached_ - text_.data()), where_);
  }

  void deeper() {
    if (++depth_ > limits_.depth) fail_user("{}: nested deeper than {}", place(), limits_.depth);
  }

  bool go_on() {
    if (++events_ % kEventsBetweenLooks != 0) return true;
    count_progress();
    if (limits_.stop && limits_.stop()) throw Cancelled();
    return true;
  }

  std::string_view text_;
  std::string_view where_;
  const JsonLimits& limits_;
  JsonSink& sink_;
  const char* reached_;
  int depth_ = 0;
  std::int64_t events_ = 0;
};

/// Builds the library's tree. (Its own builder knows no duplicate keys, and the one that calls back
/// looks at all that an array holds whenever one of its objects ends.)
class TreeBuilder final : public JsonSink {
 public:
  json take() { return std::move(root_); }

  void null() override { put(nullptr); }
  void boolean(bool value) override { put(value); }
  void integer(std::int64_t value) override { put(value); }
  void natural(std::uint64_t value) override { put(value); }
  void real(double value, std::string_view /*digits*/) override { put(value); }
  void string(std::string value) override { put(std::move(value)); }
  void begin_object() override { open_.push_back(put(json::object())); }
  bool key(std::string name) override {
    auto& members = open_.back()->get_ref<json::object_t&>();
    const auto [member, fresh] = members.try_emplace(std::move(name));
    member_ = &member->second;
    return fresh;
  }
  void end_object() override { open_.pop_back(); }
  void begin_array() override { open_.push_back(put(json::array())); }
  void end_array() override { open_.pop_back(); }

 private:
  /// The value's place stays the same until what is open above it ends.
  json* put(json value) {
    json* place = &root_;
    if (!open_.empty() && open_.back()->is_array()) {
      place = &open_.back()->get_ref<json::array_t&>().emplace_back();
    } else if (!open_.empty()) {
      place = member_;
    }
    *place = std::move(value);
    return place;
  }

  json root_;
  std::vector<json*> open_;  ///< objects and arrays, the innermost last
  json* member_ = nullptr;   ///< whose value is next, in an object
};

}  // namespace

std::string json_reason(const json::exception& error) {
  std::string_view reason = error.what();
  if (const auto at = reason.find("] "); at != std::string_view::npos) reason.remove_prefix(at + 2);
  if (reason.starts_with("parse error")) {
    if (const auto at = reason.find(": "); at != std::string_view::npos)
      reason.remove_prefix(at + 2);
  }
  return std::string(reason.substr(0, 300));
}

void parse_json(std::string_view text, std::string_view where, const JsonLimits& limits,
                JsonSink& sink) {
  if (text.size() > limits.bytes) {
    fail_user("{}: {} bytes of JSON, at most {} are allowed", where, text.size(), limits.bytes);
  }
  allocating(fmt::format("what {} holds", where), text.size(),
             [&] { StrictEvents(text, where, limits, sink).parse(); });
}

json parse_json(std::string_view text, std::string_view where, const JsonLimits& limits) {
  TreeBuilder builder;
  parse_json(text, where, limits, builder);
  return builder.take();
}

json read_json(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_text(path, limits.bytes), path.string(), limits);
}

}  // namespace weft
