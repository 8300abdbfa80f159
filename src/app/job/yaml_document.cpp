#include "app/job/yaml_document.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <functional>
#include <map>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "io/file.h"
#include "io/foreign_text.h"
#include "text/utf8.h"

namespace weft {
namespace {

using Keys = std::span<const std::string_view>;

/// A key, short enough for a message and without control characters.
std::string shown(std::string_view key) {
  constexpr std::size_t longest = 60;
  const std::string quoted = yaml_quoted(key.substr(0, longest));
  return fmt::format("'{}{}'", quoted.substr(1, quoted.size() - 2),
                     key.size() > longest ? "…" : "");
}

bool is_key(Keys keys, std::string_view path) {
  return std::find(keys.begin(), keys.end(), path) != keys.end();
}

bool is_section(Keys keys, std::string_view path) {
  return std::any_of(keys.begin(), keys.end(), [&](std::string_view key) {
    return key.size() > path.size() && key.starts_with(path) && key[path.size()] == '.';
  });
}

/// Takes the parser's events and refuses all that a job file does not need.
class Collector final : public YAML::EventHandler {
 public:
  using PlaceOf = std::function<std::string(const YAML::Mark&)>;

  Collector(Keys keys, PlaceOf place_of) : keys_(keys), place_of_(std::move(place_of)) {}

  /// Expects the value of `key` next, instead of a whole document.
  void expect_value_of(std::string_view key, std::string place) {
    frames_.push_back({.key = std::string(key), .place = std::move(place)});
  }

  std::vector<YamlValue> take() { return std::move(values_); }
  [[nodiscard]] int documents() const { return documents_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) refuse(mark, "a second document starts here; one is allowed");
  }
  void OnDocumentEnd() override {}

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "an alias (*name): write the value itself");
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check_plain(mark, "", anchor);
    check_mapping(mark);
    Frame& frame = frames_.back();
    if (frame.is_list) refuse(mark, "an item of {} has no value", shown(frame.key));
    if (frame.key.empty()) refuse(mark, "a key without a name");
    if (!is_section(keys_, frame.key)) {
      fail_user("{}: {} has no value", frame.place, shown(frame.key));
    }
    frame.key.clear();
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_plain(mark, tag, anchor);
    check_mapping(mark);
    Frame& frame = frames_.back();
    const YamlScalar scalar{.text = value, .quoted = tag == "!"};
    if (frame.is_list) {
      values_.back().items.push_back(scalar);
    } else if (frame.key.empty()) {
      begin_key(mark, frame, value);
    } else {
      add_value(frame, false);
      values_.back().items.push_back(scalar);
      frame.key.clear();
    }
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    check_plain(mark, tag, anchor);
    check_mapping(mark);
    Frame& frame = frames_.back();
    if (frame.is_list) refuse_nested(mark, frame);
    if (frame.key.empty()) refuse(mark, "a list where a key is expected");
    add_value(frame, true);
    Frame list{.is_list = true, .key = std::exchange(frame.key, {})};
    frames_.push_back(std::move(list));
  }
  void OnSequenceEnd() override { frames_.pop_back(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    check_plain(mark, tag, anchor);
    if (frames_.empty()) {
      frames_.push_back({});
      return;
    }
    Frame& frame = frames_.back();
    if (frame.is_list) refuse_nested(mark, frame);
    if (frame.key.empty()) refuse(mark, "a mapping where a key is expected");
    if (!is_section(keys_, frame.key)) {
      refuse(mark, "{} takes a value, not keys of its own", shown(frame.key));
    }
    Frame section{.prefix = std::exchange(frame.key, {}) + '.'};
    frames_.push_back(std::move(section));
  }
  void OnMapEnd() override { frames_.pop_back(); }

 private:
  struct Frame {
    bool is_list = false;
    std::string prefix = {};  ///< of the keys in this mapping: "engine."
    std::string key = {};     ///< whose value is next, or whose list this is; empty: a key is next
    std::string place = {};   ///< of `key`
  };

  template <class... Args>
  [[noreturn]] void refuse(const YAML::Mark& mark, fmt::format_string<Args...> format,
                           Args&&... args) const {
    fail_user("{}: {}", place_of_(mark), fmt::format(format, std::forward<Args>(args)...));
  }

  /// The parser takes an unclosed list for one that holds a mapping.
  [[noreturn]] void refuse_nested(const YAML::Mark& mark, const Frame& list) const {
    refuse(mark, "a list or mapping inside the list {}, or its ']' is missing", shown(list.key));
  }

  void check_plain(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    if (anchor != YAML::NullAnchor) refuse(mark, "an anchor (&name) is not allowed");
    if (!tag.empty() && tag != "?" && tag != "!")
      refuse(mark, "the tag {} is not allowed", shown(tag));
  }

  void check_mapping(const YAML::Mark& mark) const {
    if (frames_.empty()) refuse(mark, "a job file is a mapping of keys to values");
  }

  void begin_key(const YAML::Mark& mark, Frame& frame, const std::string& text) {
    const std::string path = frame.prefix + text;
    if (text.find('.') != std::string::npos && is_key(keys_, path)) {
      refuse(mark, "write the key {} in its section, indented", shown(path));
    }
    if (text.empty() || (!is_key(keys_, path) && !is_section(keys_, path))) {
      refuse(mark, "unknown key {}{}", shown(path), nearest_key_hint(path, keys_));
    }
    frame.place = place_of_(mark);
    const auto [first, is_new] = seen_.emplace(path, frame.place);
    if (!is_new) refuse(mark, "duplicate key {}, first given at {}", shown(path), first->second);
    frame.key = path;
  }

  void add_value(const Frame& frame, bool is_list) {
    if (is_section(keys_, frame.key)) {
      fail_user("{}: {} is a section: its keys follow on lines of their own, indented", frame.place,
                shown(frame.key));
    }
    YamlValue value;
    value.key = frame.key;
    value.place = frame.place;
    value.is_list = is_list;
    values_.push_back(std::move(value));
  }

  Keys keys_;
  PlaceOf place_of_;
  std::vector<Frame> frames_;
  std::vector<YamlValue> values_;
  std::map<std::string, std::string> seen_;  ///< key or section, and its place
  int documents_ = 0;
};

/// Feeds `text` to the collector.
void parse(const std::string& text, const Collector::PlaceOf& place_of, Collector& collector) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(collector)) {
    }
  } catch (const YAML::Exception& error) {
    fail_user("{}: not valid YAML: {}", place_of(error.mark), error.msg);
  }
}

/// Refuses bytes that no text file has, and tabs in the indentation, which the parser would take
/// for something else; with the line of the first.
void check_text(const std::string& text, const std::string& name) {
  const auto is_foreign = [](char c) {
    const auto code = static_cast<unsigned char>(c);
    return (code < 0x20 && c != '\n' && c != '\r' && c != '\t') || code == 0x7f;
  };
  const auto foreign = std::find_if(text.begin(), text.end(), is_foreign);
  if (foreign != text.end()) {
    fail_user("{}:{}: a control character (byte {:#04x}): not a text file", name,
              std::count(text.begin(), foreign, '\n') + 1, static_cast<unsigned char>(*foreign));
  }
  std::int64_t line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    ++line;
    const std::string_view bytes = std::string_view(text).substr(begin, end - begin);
    if (std::string storage; well_formed(bytes, storage) != bytes) {
      fail_user("{}:{}: not UTF-8 text", name, line);
    }
    const std::size_t start = bytes.find_first_not_of(" \t\r");
    if (bytes.substr(0, start).find('\t') < start && start != std::string_view::npos) {
      fail_user("{}:{}: a tab in the indentation; use spaces", name, line);
    }
    begin = end + 1;
  }
}

}  // namespace

YamlDocument YamlDocument::load(const std::filesystem::path& file, Keys keys) {
  YamlDocument document(file.string(), keys);
  const std::string text = read_text(file, kYamlCap);
  refuse_foreign_text(text, document.name_);
  check_text(text, document.name_);
  const auto place_of = [&](const YAML::Mark& mark) {
    return fmt::format("{}:{}", document.name_, std::max(mark.line, 0) + 1);
  };
  Collector collector(document.keys_, place_of);
  parse(text, place_of, collector);
  if (collector.documents() == 0) fail_user("{}:1: the file is empty", document.name_);
  document.values_ = collector.take();
  for (YamlValue& value : document.values_) value.base = file.parent_path();
  return document;
}

void YamlDocument::set(std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  const std::string key(assignment.substr(0, equals));
  const std::string place = fmt::format("--set {}", key);
  if (equals == std::string_view::npos) fail_user("--set {}: write key=value", shown(key));
  if (!is_key(keys_, key)) {
    fail_user("--set {}: unknown key{}", shown(key),
              is_section(keys_, key) ? ": a section cannot be set as a whole"
                                     : nearest_key_hint(key, keys_));
  }
  const std::string text(assignment.substr(equals + 1));
  check_text(text, place);
  if (text.empty()) fail_user("{}: has no value", place);

  YamlValue value;
  value.key = key;
  value.place = place;
  if (text.starts_with('[')) {
    if (text[text.find_last_not_of(" \n")] != ']') {
      fail_user("{}: the list {} is open: a ']' must end it (quote the whole for the shell)", place,
                shown(text));
    }
    const auto place_of = [&](const YAML::Mark&) { return place; };
    Collector collector(keys_, place_of);
    collector.expect_value_of(key, place);
    parse(text, place_of, collector);
    value = collector.take().at(0);
  } else {
    value.items.push_back({.text = text, .quoted = false});
  }
  std::erase_if(values_, [&](const YamlValue& old) { return old.key == key; });
  values_.push_back(std::move(value));
}

const YamlValue* YamlDocument::find(std::string_view key) const {
  const auto found = std::find_if(values_.begin(), values_.end(),
                                  [&](const YamlValue& value) { return value.key == key; });
  return found == values_.end() ? nullptr : &*found;
}

}  // namespace weft
