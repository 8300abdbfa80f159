#include "text/chat/chat_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "text/chat/chat_strings.h"
#include "text/utf8.h"

namespace weft::chat {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// Line ends become '\n', and one at the very end goes.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      text += '\n';
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  Lexer(std::string_view source, Place& place) : source_(normalized(source)), place_(place) {}

  std::vector<Token> run() {
    while (pos_ < source_.size()) {
      const std::size_t tag = next_tag();
      if (tag == std::string::npos) {
        emit_data(pos_, source_.size());
        pos_ = source_.size();
        break;
      }
      read_tag(tag);
    }
    emit(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] bool at(std::string_view text) const {
    return std::string_view(source_).substr(pos_).starts_with(text);
  }

  void emit(TokenKind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), place_.line});
  }

  // Moves on to `to`, counting lines.
  void move_to(std::size_t to) {
    place_.line +=
        static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(pos_),
                                    source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    pos_ = to;
  }

  [[nodiscard]] std::size_t next_tag() const {
    for (std::size_t i = source_.find('{', pos_); i != std::string::npos;
         i = source_.find('{', i + 1)) {
      const char c = i + 1 < source_.size() ? source_[i + 1] : '\0';
      if (c == '{' || c == '%' || c == '#') return i;
    }
    return std::string::npos;
  }

  void emit_data(std::size_t begin, std::size_t end) {
    if (begin < end) emit(TokenKind::data, source_.substr(begin, end - begin));
  }

  // The end of data [begin, end) before a tag with this sign ('-', '+' or another), after
  // white space is dropped.
  [[nodiscard]] std::size_t trimmed_end(std::size_t begin, std::size_t end, char sign,
                                        bool may_lstrip) const {
    const std::string_view text = std::string_view(source_).substr(begin, end - begin);
    if (sign == '-') return begin + right_stripped(text);
    if (sign == '+' || !may_lstrip) return end;
    const std::size_t newline = text.rfind('\n');
    if (newline == text.npos && !line_starting_) return end;
    const std::size_t line = newline == text.npos ? 0 : newline + 1;
    return right_stripped(text.substr(line)) == 0 ? begin + line : end;
  }

  [[nodiscard]] static std::size_t right_stripped(std::string_view text) {
    std::size_t end = text.size();
    while (end > 0) {
      std::size_t before = end;
      if (!is_python_space(previous_char(text, before))) break;
      end = before;
    }
    return end;
  }

  void read_tag(std::size_t tag) {
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const std::size_t begin = pos_;
    const std::size_t end = trimmed_end(begin, tag, sign, kind != '{');
    emit_data(begin, end);
    move_to(tag + 2 + (sign == '-' || sign == '+' ? 1 : 0));
    if (kind == '#') return read_comment();
    if (kind == '%' && read_raw()) return;
    emit(kind == '{' ? TokenKind::variable_begin : TokenKind::block_begin, "");
    read_code(kind == '{' ? "}}" : "%}", kind == '{');
  }

  // Behind a closing tag: drops what its sign and trim_blocks say.
  void close(std::size_t end, char sign, bool trims_newline) {
    const std::size_t from = pos_;
    std::size_t to = end;
    if (sign == '-') {
      while (to < source_.size()) {
        std::size_t behind = to;
        if (!is_python_space(next_char(source_, behind))) break;
        to = behind;
      }
    } else if (sign != '+' && trims_newline && to < source_.size() && source_[to] == '\n') {
      ++to;
    }
    move_to(to);
    line_starting_ = to > from && source_[to - 1] == '\n';
  }

  void read_comment() {
    const std::size_t end = source_.find("#}", pos_);
    if (end == std::string::npos) throw Fault("a comment without its end, '#}'");
    const char sign = end > pos_ ? source_[end - 1] : '\0';
    move_to(end);
    close(end + 2, sign, true);
  }

  [[nodiscard]] std::size_t behind_spaces(std::size_t from) const {
    while (from < source_.size()) {
      std::size_t behind = from;
      if (!is_python_space(next_char(source_, behind))) break;
      from = behind;
    }
    return from;
  }

  // At the tag of a raw block: passes its contents on as data.
  bool read_raw() {
    std::size_t i = behind_spaces(pos_);
    if (source_.compare(i, 3, "raw") != 0) return false;
    i = behind_spaces(i + 3);
    const bool minus = i < source_.size() && source_[i] == '-';
    if (minus) ++i;
    if (source_.compare(i, 2, "%}") != 0) return false;
    close(i + 2, minus ? '-' : '+', false);
    for (std::size_t tag = source_.find("{%", pos_); tag != std::string::npos;
         tag = source_.find("{%", tag + 1)) {
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      std::size_t end = behind_spaces(tag + 2 + (sign == '-' || sign == '+' ? 1 : 0));
      if (source_.compare(end, 6, "endraw") != 0) continue;
      end = behind_spaces(end + 6);
      const char close_sign = end < source_.size() ? source_[end] : '\0';
      if (close_sign == '-' || close_sign == '+') ++end;
      if (source_.compare(end, 2, "%}") != 0) continue;
      emit_data(pos_, trimmed_end(pos_, tag, sign, true));
      move_to(end);
      close(end + 2, close_sign, true);
      return true;
    }
    throw Fault("a raw block without its end");
  }

  // The words up to the closing tag.
  void read_code(std::string_view closing, bool is_variable) {
    std::string open;  // brackets
    for (;;) {
      move_to(behind_spaces(pos_));
      if (pos_ == source_.size()) {
        throw Fault(fmt::format("'{}' is missing", closing));
      }
      if (open.empty() && read_closing(closing, is_variable)) return;
      read_word(open);
      if (open.size() > 200) throw Fault("brackets nested more than 200 deep");
    }
  }

  bool read_closing(std::string_view closing, bool is_variable) {
    const char sign = source_[pos_];
    const bool has_sign = sign == '-' || (sign == '+' && !is_variable);
    const std::size_t end = pos_ + (has_sign ? 1 : 0);
    if (source_.compare(end, 2, closing) != 0) return false;
    emit(is_variable ? TokenKind::variable_end : TokenKind::block_end, "");
    close(end + 2, has_sign ? sign : '\0', !is_variable);
    return true;
  }

  void read_word(std::string& open) {
    const char c = source_[pos_];
    if (c == '"' || c == '\'') return read_string(c);
    if (is_digit(c)) return read_number();
    if (is_name_char(c)) {
      std::size_t end = pos_;
      while (end < source_.size() && is_name_char(source_[end])) ++end;
      emit(TokenKind::name, source_.substr(pos_, end - pos_));
      pos_ = end;
      return;
    }
    constexpr std::array<std::string_view, 26> ops = {
        "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<",
        ">",  "=",  "(",  ")",  "[",  "]",  "{", "}", ",", ":", ".", "|", ";"};
    for (const std::string_view op : ops) {
      if (!at(op)) continue;
      balance(op, open);
      emit(TokenKind::op, std::string(op));
      pos_ += op.size();
      return;
    }
    std::size_t end = pos_;
    next_char(source_, end);
    throw Fault(fmt::format("unexpected '{}'", source_.substr(pos_, end - pos_)));
  }

  static void balance(std::string_view op, std::string& open) {
    if (op == "(") open += ')';
    if (op == "[") open += ']';
    if (op == "{") open += '}';
    if (op != ")" && op != "]" && op != "}") return;
    if (open.empty() || open.back() != op.front()) throw Fault(fmt::format("unexpected '{}'", op));
    open.pop_back();
  }

  void read_number() {
    std::size_t end = pos_;
    const auto digits = [&] {
      while (end < source_.size() && (is_digit(source_[end]) || source_[end] == '_')) ++end;
    };
    digits();
    bool real = false;
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      real = true;
      ++end;
      digits();
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      std::size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) {
        ++exponent;
      }
      if (exponent < source_.size() && is_digit(source_[exponent])) {
        real = true;
        end = exponent;
        digits();
      }
    }
    if (end < source_.size() && is_name_char(source_[end])) {
      throw Fault(
          fmt::format("'{}' is no number that is supported", source_.substr(pos_, end + 1 - pos_)));
    }
    std::string text = source_.substr(pos_, end - pos_);
    std::erase(text, '_');
    emit(real ? TokenKind::real : TokenKind::integer, std::move(text));
    pos_ = end;
  }

  void read_string(char quote) {
    std::string text;
    std::size_t i = pos_ + 1;
    while (i < source_.size() && source_[i] != quote) {
      if (source_[i] == '\\' && i + 1 < source_.size()) {
        i = read_escape(i + 1, text);
      } else {
        text += source_[i++];
      }
    }
    if (i >= source_.size()) throw Fault("a string without its end");
    emit(TokenKind::string, std::move(text));
    move_to(i + 1);
  }

  // The escape whose letter is at `i`; returns the place behind it.
  std::size_t read_escape(std::size_t i, std::string& text) {
    constexpr std::string_view letters = "abfnrtv\\'\"";
    constexpr std::string_view meanings = "\a\b\f\n\r\t\v\\'\"";
    const char c = source_[i];
    if (c == '\n') return i + 1;
    if (const auto at = letters.find(c); at != letters.npos) {
      text += meanings[at];
      return i + 1;
    }
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits > 0) return read_code_point(i + 1, digits, 16, text);
    if (c >= '0' && c <= '7') {
      std::size_t length = 1;
      while (length < 3 && source_[i + length] >= '0' && source_[i + length] <= '7') ++length;
      return read_code_point(i, length, 8, text);
    }
    if (c == 'N') throw Fault("the escape \\N{…} is not supported");
    text += '\\';  // Python keeps what it does not know
    return i;
  }

  std::size_t read_code_point(std::size_t from, std::size_t digits, int base, std::string& text) {
    unsigned value = 0;
    const char* const begin = source_.data() + from;
    if (from + digits > source_.size()) throw Fault("an escape without its end");
    const auto [end, error] = std::from_chars(begin, begin + digits, value, base);
    if (error != std::errc() || end != begin + digits || value > 0x10FFFF ||
        (value >= 0xD800 && value < 0xE000)) {
      throw Fault("an escape that is no character");
    }
    append_char(text, value);
    return from + digits;
  }

  std::string source_;
  Place& place_;
  std::size_t pos_ = 0;
  bool line_starting_ = true;  // the last token ended with a line end
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, Place& place) {
  return Lexer(source, place).run();
}

}  // namespace weft::chat
