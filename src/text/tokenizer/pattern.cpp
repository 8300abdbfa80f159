#include "text/tokenizer/pattern.h"

#include "text/json_file.h"
#include "text/utf8.h"

namespace weft {

Pattern Pattern::from_json(const nlohmann::json& spec) {
  if (spec.is_object() && spec.size() == 1) {
    if (spec.contains("String")) return Pattern(spec["String"].get<std::string>());
    if (spec.contains("Regex")) {
      return Pattern(Regex(pcre2_from_oniguruma(spec["Regex"].get<std::string>())));
    }
  }
  fail_user("a pattern that is neither {{\"String\": ...}} nor {{\"Regex\": ...}}");
}

std::optional<TextRange> Pattern::find(std::string_view text, std::size_t from) const {
  if (const Regex* regex = std::get_if<Regex>(&what_)) return regex->find(text, from);
  const std::string& fixed = std::get<std::string>(what_);
  const std::size_t at = fixed.empty() ? text.npos : text.find(fixed, from);
  if (at == text.npos) return std::nullopt;
  return TextRange{at, at + fixed.size()};
}

std::string Pattern::replace_all(std::string_view text, std::string_view by) const {
  std::string out;
  segments(text, [&](TextRange range, bool is_occurrence) {
    out += is_occurrence ? by : text.substr(range.begin, range.end - range.begin);
  });
  return out;
}

std::size_t Pattern::after_char(std::string_view text, std::size_t pos) {
  if (pos < text.size()) {
    next_char(text, pos);
    return pos;
  }
  return pos + 1;
}

}  // namespace weft
