// From Oniguruma's spelling of a pattern to PCRE2's.
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/tokenizer/regex.h"
#include "text/utf8.h"

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
        case ')':
          if (caseless_.size() > 1) caseless_.pop_back();
          copy(")");
          break;
        case '{':
          interval();
          break;
        default:
          literal();
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

  // One character that stands for itself, or an operator without letters.
  void literal() {
    const std::size_t begin = pos_;
    const char32_t c = next_char(in_, pos_);
    check_case(c, begin);
    const char now = c < 0x80 ? static_cast<char>(std::tolower(static_cast<int>(c))) : '\0';
    const std::array<char, 2> pair{std::exchange(previous_, now), now};
    constexpr std::array<std::string_view, 5> ligatures{"ss", "ff", "fi", "fl", "st"};
    if (caseless_.back() && std::find(ligatures.begin(), ligatures.end(),
                                      std::string_view(pair.data(), 2)) != ligatures.end()) {
      refuse("ss, ff, fi, fl or st, which are a letter of their own, too, in any case");
    }
    out_ += in_.substr(begin, pos_ - begin);
  }

  // Oniguruma folds some letters and marks to several; PCRE2 does not.
  void check_case(char32_t c, std::size_t where) {
    if (!caseless_.back() || c < 0x80) return;
    const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
    const bool folds = category != UTF8PROC_CATEGORY_LO && category >= UTF8PROC_CATEGORY_LU &&
                       category <= UTF8PROC_CATEGORY_ME;
    if (!folds) return;
    pos_ = where;
    refuse("a letter or mark beyond ASCII in any case");
  }

  void escape() {
    previous_ = '\0';
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
        return boundary(c == 'b');
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

  // PCRE2's own \b has its own idea of a word.
  void boundary(bool is_boundary) {
    const char next = peek(2);
    if (next == '+' || next == '*' || next == '?' || next == '{') refuse("a repeated boundary");
    const std::string word = fmt::format("[{}{}]", word_class, word_latin1);
    const char* behind = is_boundary ? "!" : "=";
    const char* elsewhere = is_boundary ? "=" : "!";
    out_ += fmt::format("(?:(?<={0})(?{1}{0})|(?<!{0})(?{2}{0}))", word, behind, elsewhere);
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
    const unsigned long value = std::stoul(std::string(hex), nullptr, 16);
    if (digits == 2 && peek(2) != '{' && value >= 0x80) refuse("a byte that is no character");
    check_case(static_cast<char32_t>(value), pos_);
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
    previous_ = '\0';
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
        const std::size_t begin = pos_;
        check_case(next_char(in_, pos_), begin);
        out_ += in_.substr(begin, pos_ - begin);
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
    if ((c == 'p' || c == 'P') && caseless_.back()) refuse("a property in a class in any case");
    common_escape();
  }

  void group() {
    if (at("(*")) refuse("a verb");
    if (!at("(?")) return open("(", caseless_.back());
    constexpr std::array<std::string_view, 8> openings{
        "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"};
    for (const std::string_view opening : openings) {
      if (!at(opening)) continue;
      const bool named = opening == "(?i:" || opening == "(?-i:";
      return open(opening, named ? opening == "(?i:" : caseless_.back());
    }
    if (pos_ != 0 || !at("(?i)")) refuse("this kind of group");
    caseless_.back() = true;
    copy("(?i)");
  }

  void open(std::string_view opening, bool caseless) {
    caseless_.push_back(caseless);
    copy(opening);
  }

  void copy(std::string_view text) {
    out_ += text;
    pos_ += text.size();
  }

  // {2}, {1,3}, {,3} (which means {0,3}); any other brace stands for itself.
  void interval() {
    previous_ = '\0';
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
    if (peek(end + 1) == '?' && in_.find(',', pos_) > pos_ + end) {
      refuse("{n} followed by ?");  // there it means "or nothing"
    }
    out_ += '{';
    if (least == 0) out_ += '0';
    out_ += in_.substr(pos_ + 1, end);
    pos_ += end + 1;
  }

  std::string_view in_;
  std::size_t pos_ = 0;
  std::string out_;
  std::vector<bool> caseless_{false};  // here, and around the groups that are open
  char previous_ = '\0';               // the literal just before, whatever groups are between
};

}  // namespace

std::string pcre2_from_oniguruma(std::string_view pattern) {
  return Translator(pattern).translate();
}

}  // namespace weft
