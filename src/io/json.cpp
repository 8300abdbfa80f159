#include "io/json.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "io/file.h"

namespace weft {
namespace {

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

/// What the library says, without its own account of id and position.
std::string reason_of(const nlohmann::json::exception& error) {
  std::string_view reason = error.what();
  if (const auto at = reason.find("] "); at != std::string_view::npos) reason.remove_prefix(at + 2);
  if (reason.starts_with("parse error")) {
    if (const auto at = reason.find(": "); at != std::string_view::npos)
      reason.remove_prefix(at + 2);
  }
  return std::string(reason.substr(0, 300));
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view where, JsonLimits limits) {
  using nlohmann::json;
  if (text.size() > limits.bytes) {
    fail_user("{}: {} bytes of JSON, at most {} are allowed", where, text.size(), limits.bytes);
  }
  const char* reached = text.data();
  const auto place = [&] {
    return place_of(text, static_cast<std::size_t>(reached - text.data()), where);
  };
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
        keys.emplace_back();
        [[fallthrough]];
      case json::parse_event_t::array_start:
        if (depth >= limits.depth) fail_user("{}: nested deeper than {}", place(), limits.depth);
        break;
      case json::parse_event_t::object_end:
        keys.pop_back();
        break;
      case json::parse_event_t::key: {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!keys.back().insert(key).second) {
          fail_user("{}: duplicate key \"{}\"", place(), key.substr(0, 200));
        }
        break;
      }
      default:
        break;
    }
    return true;
  };
  try {
    return json::parse(TrackedIterator(text.data(), &reached),
                       TrackedIterator(text.data() + text.size(), &reached), watch);
  } catch (const json::exception& error) {
    fail_user("{}: not valid JSON: {}", place(), reason_of(error));
  }
}

nlohmann::json read_json(const std::filesystem::path& path, JsonLimits limits) {
  return parse_json(read_text(path, limits.bytes), path.string(), limits);
}

}  // namespace weft
