// From Oniguruma's spelling of a pattern to PCRE2's.
#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/error.h"
#include "text/tokenizer/regex.h"

namespace weft {
namespace {

// White_Space. PCRE2's own \s adds U+180E.
constexpr std::string_view space_class =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
// Unicode's word characters. PCRE2's own \w (before 10.43) lacks marks and connectors.
constexpr std::string_view word_class =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";
// Latin-1's superscripts and fractions, which Oniguruma's \w has too, though not inside a class.
constexpr std::string_view word_latin1 = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";

// General categories by their long names, and the properties that are no script.
constexpr std::array<std::pair<std::string_view, std::string_view>, 17> long_names{{
    {"letter", "L"},
    {"mark", "M"},
    {"number", "N"},
    {"punctuation", "P"},
    {"symbol", "S"},
    {"separator", "Z"},
    {"other", "C"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"decimalnumber", "Nd"},
    {"any", "Any"},
    {"alphabetic", "Alphabetic"},
    {"uppercase", "Uppercase"},
    {"lowercase", "Lowercase"},
}};

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  std::string translate() {
    while (pos_ < in_.size()) {
      switch (in_[pos_]) {
        case '\\':
          escape();
          break;
        case '[':
          char_class();
          break;
        case '(':
          group();
          break;
        case '{':
          interval();
          break;
        default:
          out_ += in_[pos_++];
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail_user("regular expression `{}` at byte {}: {} is not supported", in_.substr(0, 200), pos_,
              what);
  }

  [[nodiscard]] bool at(std::string_view text) const { return in_.substr(pos_).starts_with(text); }
  [[nodiscard]] char peek(std::size_t ahead) const {
    return pos_ + ahead < in_.size() ? in_[pos_ + ahead] : '\0';
  }

  void escape() {
    const char c = peek(1);
    switch (c) {
      case 's':
      case 'S':
        return bracketed(space_class, "", c == 'S');
      case 'w':
      case 'W':
        return bracketed(word_class, word_latin1, c == 'W');
      case 'b':
      case 'B':
      case 'A':
      case 'z':
      case 'Z':
        out_ += in_.substr(pos_, 2);
        pos_ += 2;
        return;
      default:
        common_escape();
    }
  }

  void bracketed(std::string_view members, std::string_view more, bool negated) {
    out_ += negated ? "[^" : "[";
    out_ += members;
    out_ += more;
    out_ += ']';
    pos_ += 2;
  }

  // Escapes that mean the same inside and outside a class.
  void common_escape() {
    const char c = peek(1);
    if (c == 'p' || c == 'P') return property();
    if (c == 'u') return code_point(4);
    if (c == 'x') return peek(2) == '{' ? braced_code_point() : code_point(2);
    if (c == 'v') {
      out_ += R"(\x{b})";
      pos_ += 2;
      return;
    }
    constexpr std::string_view same = "dDrntfae";
    const auto u = static_cast<unsigned char>(c);
    const bool punctuation = u < 0x80 && (std::ispunct(u) != 0 || u == ' ');
    if (c == '\0' || (!punctuation && same.find(c) == same.npos)) refuse("this escape");
    out_ += in_.substr(pos_, 2);
    pos_ += 2;
  }

  void code_point(std::size_t digits) {
    const std::string_view hex = in_.substr(std::min(pos_ + 2, in_.size()), digits);
    hexadecimal(hex, digits);
    pos_ += 2 + digits;
  }

  void braced_code_point() {
    const std::size_t close = in_.find('}', pos_);
    if (close == in_.npos) refuse("an open brace");
    const std::string_view hex = in_.substr(pos_ + 3, close - pos_ - 3);
    hexadecimal(hex, std::clamp<std::size_t>(hex.size(), 1, 6));
    pos_ = close + 1;
  }

  void hexadecimal(std::string_view hex, std::size_t digits) {
    const auto is_hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
    if (hex.size() != digits || !std::all_of(hex.begin(), hex.end(), is_hex)) {
      refuse("this character code");
    }
    out_ += R"(\x{)";
    out_ += hex;
    out_ += '}';
  }

  // \p{L}, \p{^L}, \p{Letter} and scripts such as \p{Han}: Script, not PCRE2's script extensions.
  void property() {
    bool negated = peek(1) == 'P';
    const std::size_t close = in_.find('}', pos_);
    if (peek(2) != '{' || close == in_.npos) refuse("a property without braces");
    std::string_view name = in_.substr(pos_ + 3, close - pos_ - 3);
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    std::string plain;
    for (const char c : name) {
      const auto u = static_cast<unsigned char>(c);
      if (u >= 0x80 || (std::isalnum(u) == 0 && c != '_' && c != ' ')) refuse("this property");
      if (std::isalnum(u) != 0) plain += static_cast<char>(std::tolower(u));
    }
    out_ += negated ? R"(\P{)" : R"(\p{)";
    const auto known = std::find_if(long_names.begin(), long_names.end(),
                                    [&](const auto& entry) { return entry.first == plain; });
    if (known != long_names.end()) {
      out_ += known->second;
    } else if (plain.size() <= 2) {
      out_ += name;
    } else {
      out_ += "sc:";
      out_ += plain;
    }
    out_ += '}';
    pos_ = close + 1;
  }

  // A class in a class is a union, so its own brackets fall away.
  void char_class() {
    out_ += '[';
    ++pos_;
    if (peek(0) == '^') out_ += in_[pos_++];
    if (peek(0) == ']') refuse("a class that starts with ]");
    for (int depth = 1; depth > 0;) {
      if (pos_ >= in_.size()) refuse("an open class");
      const char c = in_[pos_];
      if (c == '[') {
        if (peek(1) == ':' || peek(1) == '^' || peek(1) == ']') refuse("this class in a class");
        ++depth;
        ++pos_;
      } else if (c == ']') {
        if (--depth == 0) out_ += ']';
        ++pos_;
      } else if (at("&&")) {
        refuse("an intersection of classes");
      } else if (c == '\\') {
        class_escape();
      } else {
        out_ += c;
        ++pos_;
      }
    }
  }

  void class_escape() {
    const char c = peek(1);
    if (c == 'S' || c == 'W' || c == 'b') refuse("this escape in a class");
    if (c == 's' || c == 'w') {
      out_ += c == 's' ? space_class : word_class;
      pos_ += 2;
      if (peek(0) == '-' && peek(1) != ']') {  // literal, but would now look like a range
        out_ += R"(\-)";
        ++pos_;
      }
      return;
    }
    common_escape();
  }

  void group() {
    if (at("(*")) refuse("a verb");
    if (!at("(?")) {
      out_ += '(';
      ++pos_;
      return;
    }
    constexpr std::array<std::string_view, 8> openings{
        "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"};
    for (const std::string_view opening : openings) {
      if (at(opening)) return copy(opening);
    }
    if (pos_ == 0 && at("(?i)")) return copy("(?i)");
    refuse("this kind of group");
  }

  void copy(std::string_view text) {
    out_ += text;
    pos_ += text.size();
  }

  // {2}, {1,3}, {,3} (which means {0,3}); any other brace stands for itself.
  void interval() {
    const auto digits = [&](std::size_t from) {
      std::size_t n = 0;
      while (std::isdigit(static_cast<unsigned char>(peek(from + n))) != 0) ++n;
      return n;
    };
    const std::size_t least = digits(1);
    std::size_t end = 1 + least;
    std::size_t most = 0;
    if (peek(end) == ',') {
      most = digits(end + 1);
      end += 1 + most;
    }
    if (peek(end) != '}' || least + most == 0) {
      out_ += R"(\{)";
      ++pos_;
      return;
    }
    if (peek(end + 1) == '+') refuse("an interval followed by +");
    out_ += '{';
    if (least == 0) out_ += '0';
    out_ += in_.substr(pos_ + 1, end);
    pos_ += end + 1;
  }

  std::string_view in_;
  std::size_t pos_ = 0;
  std::string out_;
};

}  // namespace

std::string pcre2_from_oniguruma(std::string_view pattern) {
  return Translator(pattern).translate();
}

}  // namespace weft
