#include "text/chat/chat_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "text/chat/chat_operators.h"
#include "text/chat/chat_print.h"
#include "text/chat/chat_strings.h"
#include "text/utf8.h"

namespace weft::chat {
namespace {

constexpr std::int64_t max_width = 1'000'000;

// What stands between % and the letter, or behind the colon in braces.
struct Spec {
  std::string fill = " ";
  char align = '\0';  // <, >, ^ or =; none
  char sign = '-';    // +, - or a space
  bool alternative = false;
  bool grouped = false;
  std::int64_t width = 0;
  std::optional<int> precision;
  char type = '\0';
};

bool is_format_digit(char c) { return c >= '0' && c <= '9'; }

std::int64_t read_number(std::string_view text, std::size_t& pos) {
  std::int64_t value = 0;
  for (; pos < text.size() && is_format_digit(text[pos]); ++pos) {
    value = value * 10 + (text[pos] - '0');
    if (value > max_width) throw Fault("a format with a width that is too large");
  }
  return value;
}

std::string repr(const Value& value, Budget& budget) {
  const std::string in_list = to_text(list_value({value}), budget).str();
  return in_list.substr(1, in_list.size() - 2);
}

Text filled(Text text, const Spec& spec, char usual) {
  const char align = spec.align == '\0' ? usual : spec.align;
  if (align == '=') {  // between sign and digits
    const std::size_t sign =
        !text.empty() && (text.str()[0] == '-' || text.str()[0] == '+' || text.str()[0] == ' ') ? 1
                                                                                                : 0;
    Text result = text.part(0, sign);
    result.append(padded(text.part(sign, text.size()), spec.width - static_cast<std::int64_t>(sign),
                         Text::Side::right, spec.fill));
    return result;
  }
  if (align == '^') {  // the odd one goes to the right, unlike in str.center
    const auto count = static_cast<std::int64_t>(char_count(text.str()));
    const std::int64_t left = std::max<std::int64_t>(spec.width - count, 0) / 2;
    const Text half = padded(text, count + left, Text::Side::right, spec.fill);
    return padded(half, spec.width, Text::Side::left, spec.fill);
  }
  return padded(text, spec.width, align == '<' ? Text::Side::left : Text::Side::right, spec.fill);
}

std::string grouped(std::string digits) {
  const std::size_t whole = std::min(digits.find('.'), digits.size());
  for (std::size_t at = whole; at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string with_sign(bool negative, const Spec& spec, std::string digits) {
  if (spec.grouped) digits = grouped(std::move(digits));
  if (negative) return "-" + digits;
  return spec.sign == '-' ? digits : std::string(1, spec.sign) + digits;
}

std::string integer_text(std::int64_t value, const Spec& spec) {
  const auto size =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  std::string digits;
  switch (spec.type) {
    case 'x':
      digits = spec.alternative ? fmt::format("{:#x}", size) : fmt::format("{:x}", size);
      break;
    case 'X':
      digits = spec.alternative ? fmt::format("{:#X}", size) : fmt::format("{:X}", size);
      break;
    case 'o':
      digits = (spec.alternative ? "0o" : "") + fmt::format("{:o}", size);
      break;
    case 'b':
      digits = spec.alternative ? fmt::format("{:#b}", size) : fmt::format("{:b}", size);
      break;
    default:
      digits = fmt::format("{}", size);
  }
  return with_sign(value < 0, spec, std::move(digits));
}

std::string real_text(double value, const Spec& spec) {
  const double size = std::fabs(value);
  const int precision = spec.precision.value_or(6);
  std::string digits;
  switch (spec.type) {
    case 'e':
      digits = fmt::format("{:.{}e}", size, precision);
      break;
    case 'E':
      digits = fmt::format("{:.{}E}", size, precision);
      break;
    case 'g':
      digits = fmt::format("{:.{}g}", size, precision);
      break;
    case 'G':
      digits = fmt::format("{:.{}G}", size, precision);
      break;
    case '%':
      digits = fmt::format("{:.{}f}%", size * 100, precision);
      break;
    default:
      digits = fmt::format("{:.{}f}", size, precision);
  }
  return with_sign(std::signbit(value), spec, std::move(digits));
}

Text cut(const Text& text, const Spec& spec) {
  if (!spec.precision) return text;
  return text.part(0, char_offset(text.str(), static_cast<std::size_t>(*spec.precision)));
}

// Adds text that is formatted: what a user wrote keeps its mark, markup escapes what is not.
void put(Text& result, const Text& piece, bool is_markup, Budget& budget) {
  budget.bytes(piece.size());
  result.append(is_markup ? escaped(piece) : piece);
}

// --- % ------------------------------------------------------------------------------------------

class Percent {
 public:
  Percent(const Text& format, const Value& values, Budget& budget)
      : format_(format), values_(values), budget_(budget) {}

  Value run() {
    const std::string& s = format_.str();
    Text result;
    std::size_t pos = 0;
    while (pos < s.size()) {
      const std::size_t percent = std::min(s.find('%', pos), s.size());
      result.append_part(format_, pos, percent);
      pos = percent;
      if (pos < s.size()) conversion(++pos, result);
    }
    const List* list = values_.list();
    const bool is_tuple = list != nullptr && list->is_tuple();
    const std::size_t given = is_tuple ? list->items().size() : 1;
    const bool may_be_left = values_.dict() != nullptr || (list != nullptr && !is_tuple);
    if (!may_be_left && taken_ < given) throw Fault("not all values of % are converted");
    result.set_markup(format_.is_markup());
    return string_value(std::move(result));
  }

 private:
  Value take() {
    const List* list = values_.list();
    const bool is_tuple = list != nullptr && list->is_tuple();
    if (taken_ >= (is_tuple ? list->items().size() : 1)) throw Fault("not enough values for %");
    ++taken_;
    return is_tuple ? list->items()[taken_ - 1] : values_;
  }

  void conversion(std::size_t& pos, Text& result) {
    const std::string& s = format_.str();
    Spec spec;
    std::optional<Value> value;
    if (pos < s.size() && s[pos] == '(') {
      const std::size_t end = s.find(')', pos);
      if (values_.dict() == nullptr || end == s.npos) throw Fault("%(name) needs a dictionary");
      const Value* found = values_.dict()->find(s.substr(pos + 1, end - pos - 1));
      if (found == nullptr) throw Fault("%(name) is not in the dictionary");
      value = *found;
      pos = end + 1;
    }
    bool zeros = false;
    for (; pos < s.size() && std::string_view("-+ #0").find(s[pos]) != s.npos; ++pos) {
      if (s[pos] == '-') spec.align = '<';
      if (s[pos] == '+' || (s[pos] == ' ' && spec.sign != '+')) spec.sign = s[pos];
      if (s[pos] == '#') spec.alternative = true;
      if (s[pos] == '0') zeros = true;
    }
    if (pos < s.size() && s[pos] == '*') throw Fault("a width of * in a format is not supported");
    spec.width = read_number(s, pos);
    if (pos < s.size() && s[pos] == '.') {
      spec.precision = static_cast<int>(read_number(s, ++pos));
    }
    if (pos == s.size()) throw Fault("an incomplete format behind %");
    spec.type = s[pos++];
    if (spec.type == '%') return result.append("%");
    if (!value) value = take();
    const bool is_text = spec.type == 's' || spec.type == 'r' || spec.type == 'c';
    if (zeros && spec.align == '\0' && !is_text) {
      spec.fill = "0";
      spec.align = '=';
    }
    put(result, filled(converted(*value, spec), spec, '>'), format_.is_markup(), budget_);
  }

  Text converted(const Value& value, const Spec& spec) {
    const std::string_view types = "srdiuxXofFeEgG";
    if (types.find(spec.type) == types.npos) {
      throw Fault(fmt::format("the conversion %{} is not supported", spec.type));
    }
    if (spec.type == 's') return cut(to_text(value, budget_), spec);
    if (spec.type == 'r') return cut(Text(repr(value, budget_), true), spec);
    const auto n = number(value);
    if (!n) fault_type(value, "is no number, which the format wants");
    const bool is_real = std::string_view("fFeEgG").find(spec.type) != std::string_view::npos;
    if (is_real) return Text(real_text(*n, spec));
    if (!value.is<double>()) return Text(integer_text(int_of(value, ""), spec));
    if (spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || std::fabs(*n) > 9e18) {
      throw Fault("a format that wants an integer");
    }
    return Text(integer_text(static_cast<std::int64_t>(*n), spec));
  }

  const Text& format_;
  const Value& values_;
  Budget& budget_;
  std::size_t taken_ = 0;
};

// --- {} -----------------------------------------------------------------------------------------

Spec brace_spec(std::string_view text) {
  Spec spec;
  std::size_t pos = 0;
  const auto is_align = [&](std::size_t at) {
    return at < text.size() && std::string_view("<>^=").find(text[at]) != text.npos;
  };
  std::size_t behind_fill = 0;
  if (!text.empty()) next_char(text, behind_fill);
  if (behind_fill > 0 && is_align(behind_fill)) {
    spec.fill = text.substr(0, behind_fill);
    spec.align = text[behind_fill];
    pos = behind_fill + 1;
  } else if (is_align(0)) {
    spec.align = text[pos++];
  }
  if (pos < text.size() && std::string_view("+- ").find(text[pos]) != text.npos) {
    spec.sign = text[pos++];
  }
  if (pos < text.size() && text[pos] == '#') {
    spec.alternative = true;
    ++pos;
  }
  if (pos < text.size() && text[pos] == '0') {
    ++pos;
    if (spec.align == '\0') {
      spec.align = '=';
      spec.fill = "0";
    }
  }
  spec.width = read_number(text, pos);
  if (pos < text.size() && text[pos] == ',') {
    spec.grouped = true;
    ++pos;
  }
  if (pos < text.size() && text[pos] == '.') {
    spec.precision = static_cast<int>(read_number(text, ++pos));
  }
  if (pos < text.size()) spec.type = text[pos++];
  if (pos < text.size()) throw Fault(fmt::format("the format '{}' is not supported", text));
  return spec;
}

Text formatted(const Value& value, std::string_view text, Budget& budget) {
  if (text.empty()) return to_text(value, budget);
  const Spec spec = brace_spec(text);
  const auto wants = [&](std::string_view types) {
    return spec.type == '\0' || types.find(spec.type) != types.npos;
  };
  if (const Text* string = value.text()) {
    if (!wants("s") || spec.align == '=') throw Fault("a format that is not one for strings");
    return filled(cut(*string, spec), spec, '<');
  }
  if (value.is<double>() ||
      (number(value) && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos)) {
    if (spec.type == '\0') throw Fault("a format for floats without its letter is not supported");
    if (!wants("eEfFgG%")) throw Fault("a format that is not one for floats");
    return filled(Text(real_text(*number(value), spec)), spec, '>');
  }
  if (number(value)) {
    if (!wants("dxXob") || spec.precision) throw Fault("a format that is not one for integers");
    return filled(Text(integer_text(int_of(value, ""), spec)), spec, '>');
  }
  fault_type(value, "takes no format");
}

class Braces {
 public:
  Braces(const Text& format, const Arguments& arguments, Budget& budget)
      : format_(format), arguments_(arguments), budget_(budget) {}

  Value run() {
    const std::string& s = format_.str();
    Text result;
    for (std::size_t pos = 0; pos < s.size();) {
      const char c = s[pos];
      if (c != '{' && c != '}') {
        const std::size_t end = std::min(s.find_first_of("{}", pos), s.size());
        result.append_part(format_, pos, end);
        pos = end;
      } else if (pos + 1 < s.size() && s[pos + 1] == c) {
        result.append_part(format_, pos, pos + 1);
        pos += 2;
      } else if (c == '}') {
        throw Fault("a single '}' in a format");
      } else {
        const std::size_t end = s.find('}', pos);
        if (end == s.npos) throw Fault("a '{' without '}' in a format");
        field(std::string_view(s).substr(pos + 1, end - pos - 1), result);
        pos = end + 1;
      }
    }
    result.set_markup(format_.is_markup());
    return string_value(std::move(result));
  }

 private:
  void field(std::string_view text, Text& result) {
    if (text.find('{') != text.npos) throw Fault("a format in a format is not supported");
    const std::size_t colon = std::min(text.find(':'), text.size());
    const std::string_view spec = colon < text.size() ? text.substr(colon + 1) : "";
    std::string_view name = text.substr(0, colon);
    char conversion = '\0';
    if (const std::size_t mark = name.find('!'); mark != name.npos) {
      if (mark + 2 != name.size()) throw Fault("a conversion in a format is not one letter");
      conversion = name[mark + 1];
      name = name.substr(0, mark);
    }
    Value value = found(name);
    if (conversion == 'r' || conversion == 'a') {
      value = string_value(Text(repr(value, budget_), true));
    } else if (conversion == 's') {
      value = string_value(to_text(value, budget_));
    } else if (conversion != '\0') {
      throw Fault("an unknown conversion in a format");
    }
    put(result, formatted(value, spec, budget_), format_.is_markup(), budget_);
  }

  // "", "0" or "name", and behind it ".member" and "[key]".
  Value found(std::string_view name) {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    const std::string_view first = name.substr(0, end);
    Value value;
    if (std::all_of(first.begin(), first.end(), is_format_digit)) {
      std::size_t pos = 0;
      const std::size_t at =
          first.empty() ? next_++ : static_cast<std::size_t>(read_number(first, pos));
      if (at >= arguments_.positional.size()) throw Fault("not enough values for the format");
      value = arguments_.positional[at];
    } else {
      const Value* given = arguments_.find(arguments_.positional.size(), first);
      if (given == nullptr) throw Fault(fmt::format("no value '{}' for the format", first));
      value = *given;
    }
    return end == name.size() ? value : followed(std::move(value), name.substr(end));
  }

  Value followed(Value value, std::string_view path) {
    while (!path.empty()) {
      if (path[0] == '.') {
        const std::size_t end = std::min(path.find_first_of(".[", 1), path.size());
        value = attribute(value, path.substr(1, end - 1));
        path = path.substr(end);
        continue;
      }
      const std::size_t end = path.find(']');
      if (end == path.npos || end == 1) throw Fault("a '[' without its key in a format");
      const std::string_view key = path.substr(1, end - 1);
      std::size_t pos = 0;
      value = std::all_of(key.begin(), key.end(), is_format_digit)
                  ? subscript(value, int_value(read_number(key, pos)), budget_)
                  : subscript(value, string_value(key), budget_);
      path = path.substr(end + 1);
      if (!path.empty() && path[0] != '.' && path[0] != '[') {
        throw Fault("text behind ']' in a format");
      }
    }
    if (value.is_undefined()) fault_type(value, "");
    return value;
  }

  const Text& format_;
  const Arguments& arguments_;
  Budget& budget_;
  std::size_t next_ = 0;
};

}  // namespace

Value percent_format(const Text& format, const Value& values, Budget& budget) {
  return Percent(format, values, budget).run();
}

Value brace_format(const Text& format, const Arguments& arguments, Budget& budget) {
  return Braces(format, arguments, budget).run();
}

}  // namespace weft::chat
