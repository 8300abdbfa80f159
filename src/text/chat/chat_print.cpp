#include "text/chat/chat_print.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "text/chat/chat_operators.h"
#include "text/utf8.h"

namespace weft::chat {
namespace {

// Does repr write the character as it is?
bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

void append_repr(std::string& out, std::string_view text, char quote) {
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t c = next_char(text, pos);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      append_char(out, c);
    } else {
      const auto code = static_cast<std::uint32_t>(c);
      out += c < 0x100     ? fmt::format("\\x{:02x}", code)
             : c < 0x10000 ? fmt::format("\\u{:04x}", code)
                           : fmt::format("\\U{:08x}", code);
    }
  }
}

void append_json_string(std::string& out, std::string_view text, bool ascii) {
  constexpr std::string_view special = "\"\\\n\r\t\f\b";
  constexpr std::string_view letters = "\"\\nrtfb";
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t c = next_char(text, pos);
    const std::size_t at = c < 0x80 ? special.find(static_cast<char>(c)) : special.npos;
    const auto code = static_cast<std::uint32_t>(c);
    if (at != special.npos) {
      out += '\\';
      out += letters[at];
    } else if (c < 0x20 || (ascii && c > 0x7E && c < 0x10000)) {
      out += fmt::format("\\u{:04x}", code);
    } else if (ascii && c >= 0x10000) {
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF));
    } else {
      append_char(out, c);
    }
  }
}

// Writes a value as Python or as JSON and notes whether any of it is a user's.
class Writer {
 public:
  Writer(const JsonStyle* json, Budget& budget) : json_(json), budget_(budget) {}

  void write(const Value& value) {
    budget_.steps(1);
    const std::size_t before = out_.size();
    if (const Text* text = value.text()) {
      string(*text);
    } else if (const List* list = value.list()) {
      sequence(*list);
    } else if (const Dict* dict = value.dict()) {
      members(*dict);
    } else {
      scalar(value);
      budget_.bytes(out_.size() - before);
    }
  }

  Text result() {
    Text text;
    std::size_t at = 0;
    for (const auto& [piece, end] : marked_) {
      text.append(std::string_view(out_).substr(at, end - piece.size() - at));
      text.append(piece);
      at = end;
    }
    text.append(std::string_view(out_).substr(at));
    text.spread_mark();
    return text;
  }

 private:
  void string(const Text& text) {
    const std::string& s = text.str();
    const std::size_t before = out_.size();
    const bool has_single = s.find('\'') != s.npos;
    const char quote = json_ != nullptr || (has_single && s.find('"') == s.npos) ? '"' : '\'';
    if (json_ == nullptr && text.is_markup()) out_ += "Markup(";
    out_ += quote;
    std::size_t at = 0;
    const auto run = [&](std::size_t end) {
      const std::string_view part = std::string_view(s).substr(at, end - at);
      if (json_ != nullptr) {
        append_json_string(out_, part, json_->ascii);
      } else {
        append_repr(out_, part, quote);
      }
      at = end;
    };
    for (const UserRange& range : text.sources()) {
      run(range.begin);
      const std::size_t from = out_.size();
      run(range.end);
      marked_.emplace_back(Text(out_.substr(from), true).from(range.source), out_.size());
    }
    run(s.size());
    out_ += quote;
    if (json_ == nullptr && text.is_markup()) out_ += ')';
    budget_.bytes(out_.size() - before);
  }

  void scalar(const Value& value) {
    if (const auto* flag = std::get_if<bool>(&value.data)) {
      out_ += json_ != nullptr ? (*flag ? "true" : "false") : (*flag ? "True" : "False");
    } else if (const auto* number = std::get_if<std::int64_t>(&value.data)) {
      out_ += std::to_string(*number);
    } else if (const auto* real = std::get_if<double>(&value.data)) {
      out_ += json_ == nullptr || std::isfinite(*real) ? float_text(*real)
              : std::isnan(*real)                      ? "NaN"
              : *real > 0                              ? "Infinity"
                                                       : "-Infinity";
    } else if (value.is_none()) {
      out_ += json_ != nullptr ? "null" : "None";
    } else if (json_ != nullptr) {
      fault_type(value, "cannot be written as JSON");
    } else if (value.is_undefined()) {
      out_ += "Undefined";
    } else if (value.space() != nullptr) {
      throw Fault("a namespace cannot be printed");
    } else {
      fault_type(value, "cannot be printed");
    }
  }

  void new_line() {
    if (json_ == nullptr || !json_->indent) return;
    out_ += '\n';
    for (int i = 0; i < depth_; ++i) out_ += *json_->indent;
    budget_.bytes(json_->indent->size() * static_cast<std::size_t>(depth_));
  }

  // `item(i)` writes the item with number i.
  template <class Item>
  void block(char open, char close, std::size_t count, Item item) {
    out_ += open;
    ++depth_;
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) out_ += json_ != nullptr ? json_->between_items : ", ";
      new_line();
      item(i);
    }
    --depth_;
    if (count > 0) new_line();
    out_ += close;
    budget_.bytes(2 * count + 2);
  }

  // range(0, 3), or range(0, 10, 2): the end is not known, but the first number behind it does.
  void range(const std::vector<Value>& items) {
    const auto at = [&](std::size_t i) { return int_of(items[i], ""); };
    const std::int64_t first = items.empty() ? 0 : at(0);
    const std::int64_t step = items.size() < 2 ? 1 : at(1) - first;
    const std::int64_t stop = items.empty() ? 0 : at(items.size() - 1) + (step > 0 ? 1 : -1);
    out_ += fmt::format("range({}, {}", first, stop);
    out_ += step == 1 ? ")" : fmt::format(", {})", step);
  }

  void sequence(const List& list) {
    if (json_ != nullptr && !list.is_list() && !list.is_tuple()) {
      fault_type(list_value({}, list.kind()), "cannot be written as JSON");
    }
    if (list.kind() == List::Kind::range) return range(list.items());
    if (list.is_view()) out_ += fmt::format("{}(", type_name(list_value({}, list.kind())));
    items_of_list(list);
    if (list.is_view()) out_ += ')';
  }

  void items_of_list(const List& list) {
    const bool tuple = list.is_tuple() && json_ == nullptr;
    const auto& items = list.items();
    block(tuple ? '(' : '[', tuple ? ')' : ']', items.size(), [&](std::size_t i) {
      write(items[i]);
      if (tuple && items.size() == 1) out_ += ',';
    });
  }

  void members(const Dict& dict) {
    const auto& items = dict.items();
    std::vector<std::size_t> order(items.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (json_ != nullptr && json_->sort_keys) {
      std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return compare(items[a].key, items[b].key, budget_) < 0;
      });
    }
    block('{', '}', items.size(), [&](std::size_t i) {
      const Value& key = items[order[i]].key;
      if (json_ == nullptr || key.text() != nullptr) {
        write(key);
      } else if (key.list() != nullptr || key.is_undefined()) {
        fault_type(key, "cannot be a key in JSON");
      } else {  // JSON has strings only
        out_ += '"';
        write(key);
        out_ += '"';
      }
      out_ += json_ != nullptr ? json_->behind_key : ": ";
      write(items[order[i]].value);
    });
  }

  const JsonStyle* json_;  // null: as Python
  Budget& budget_;
  std::string out_;
  std::vector<std::pair<Text, std::size_t>> marked_;  // what a user wrote, and where it ends
  int depth_ = 0;
};

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 64> buffer{};
  const auto scientific = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                        std::chars_format::scientific);
  std::string text(buffer.data(), scientific.ptr);
  const int exponent = std::stoi(text.substr(text.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return text;
  const auto fixed =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  text.assign(buffer.data(), fixed.ptr);
  if (text.find('.') == text.npos) text += ".0";
  return text;
}

Text to_text(const Value& value, Budget& budget) {
  if (const Text* text = value.text()) return *text;
  if (value.is_undefined()) return {};
  Writer writer(nullptr, budget);
  writer.write(value);
  return writer.result();
}

Text to_json(const Value& value, const JsonStyle& style, Budget& budget) {
  Writer writer(&style, budget);
  writer.write(value);
  return writer.result();
}

}  // namespace weft::chat
