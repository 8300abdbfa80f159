#include "text/chat/chat_print.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

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

void append_repr(std::string& out, std::string_view text) {
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  out += quote;
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
  out += quote;
}

void append_json_string(std::string& out, std::string_view text, bool ascii) {
  constexpr std::string_view special = "\"\\\n\r\t\f\b";
  constexpr std::string_view letters = "\"\\nrtfb";
  out += '"';
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
  out += '"';
}

// Writes a value as Python or as JSON and notes whether any of it is a user's.
class Writer {
 public:
  Writer(const JsonStyle* json, Budget& budget) : json_(json), budget_(budget) {}

  void write(const Value& value) {
    budget_.steps(1);
    const std::size_t before = out_.size();
    if (const Text* text = value.text()) {
      string(text->str(), text->any_user());
    } else if (const List* list = value.list()) {
      sequence(*list);
    } else if (const Dict* dict = value.dict()) {
      members(*dict);
    } else {
      scalar(value);
      budget_.bytes(out_.size() - before);
    }
  }

  Text result() { return Text(std::move(out_), from_user_); }

 private:
  void string(std::string_view text, bool from_user) {
    const std::size_t before = out_.size();
    if (json_ != nullptr) {
      append_json_string(out_, text, json_->ascii);
    } else {
      append_repr(out_, text);
    }
    from_user_ = from_user_ || from_user;
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

  void sequence(const List& list) {
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
      std::sort(order.begin(), order.end(),
                [&](std::size_t a, std::size_t b) { return items[a].first < items[b].first; });
    }
    block('{', '}', items.size(), [&](std::size_t i) {
      string(items[order[i]].first, dict.user_keys());
      out_ += json_ != nullptr ? json_->behind_key : ": ";
      write(items[order[i]].second);
    });
  }

  const JsonStyle* json_;  // null: as Python
  Budget& budget_;
  std::string out_;
  bool from_user_ = false;
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
