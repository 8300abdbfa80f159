// Regular expressions over UTF-8 text: PCRE2, owned.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct pcre2_real_code_8;

namespace weft {

/// A part of a text, in bytes.
struct TextRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// A compiled pattern. Matching is const and safe from several threads. Characters have the
/// properties that the installed PCRE2's version of Unicode gives them: for one that is younger
/// (10.42 knows Unicode 14) the cut into words may differ from a tokenizer with newer tables.
class Regex {
 public:
  /// Compiles a pattern in PCRE2's syntax, with Unicode properties, LF as the only newline, and ^
  /// and $ at every line. UserError if it is not one.
  explicit Regex(std::string_view pattern);

  /// The first match that starts at `from` or later. `text` must be well-formed UTF-8 and `from`
  /// the start of a character or the end. UserError if the pattern needs unreasonable backtracking.
  [[nodiscard]] std::optional<TextRange> find(std::string_view text, std::size_t from) const;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const;
  };
  std::string pattern_;  // for messages
  std::unique_ptr<pcre2_real_code_8, Free> code_;
  bool jit_ = false;
};

/// Translates a pattern from the syntax of tokenizer.json (Oniguruma's Ruby syntax) to PCRE2's.
/// Where the same spelling means different things it is rewritten (\s, \w, scripts, nested
/// classes); what cannot be expressed or is outside the common ground is a UserError.
std::string pcre2_from_oniguruma(std::string_view pattern);

}  // namespace weft
