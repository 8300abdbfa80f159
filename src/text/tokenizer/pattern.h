// What tokenizer.json calls a pattern: a fixed string or a regular expression.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "text/tokenizer/regex.h"

namespace weft {

/// Finds occurrences of a fixed string or matches of a regular expression.
class Pattern {
 public:
  explicit Pattern(std::string fixed) : what_(std::move(fixed)) {}
  explicit Pattern(Regex regex) : what_(std::move(regex)) {}

  /// {"String": ...} or {"Regex": ...}; UserError for anything else.
  static Pattern from_json(const nlohmann::json& spec);

  /// The first occurrence at `from` or later. An empty string occurs nowhere.
  [[nodiscard]] std::optional<TextRange> find(std::string_view text, std::size_t from) const;

  /// `text` with every occurrence replaced by `by` as it stands.
  [[nodiscard]] std::string replace_all(std::string_view text, std::string_view by) const;

  /// Calls visit(range, is_occurrence) for consecutive ranges that together cover `text`. Ranges
  /// that are no occurrence are not empty.
  template <class Visit>
  void segments(std::string_view text, Visit visit) const {
    std::size_t done = 0;
    bool any = false;
    for (std::size_t from = 0; from <= text.size();) {
      const std::optional<TextRange> hit = find(text, from);
      if (!hit) break;
      const bool is_empty = hit->begin == hit->end;
      from = is_empty ? after_char(text, hit->end) : hit->end;
      if (is_empty && any && hit->begin == done) continue;  // touches the match before it
      if (hit->begin > done) visit(TextRange{done, hit->begin}, false);
      visit(*hit, true);
      done = hit->end;
      any = true;
    }
    if (done < text.size()) visit(TextRange{done, text.size()}, false);
  }

 private:
  static std::size_t after_char(std::string_view text, std::size_t pos);
  std::variant<std::string, Regex> what_;
};

}  // namespace weft
