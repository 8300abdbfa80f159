#include "app/job/value_type.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "app/job/yaml_value.h"
#include "base/types.h"

namespace weft {
namespace {

using Kind = ValueType::Kind;

constexpr std::int64_t kMaxTokenId = std::numeric_limits<TokenId>::max();
/// Bounds from here on only keep arithmetic safe: nobody needs to read them.
constexpr std::int64_t kTechnicalBound = 4096;

std::vector<std::string> quoted_words(const ValueType& type) {
  std::vector<std::string> words;
  for (const std::string_view word : type.words()) words.push_back(fmt::format("`{}`", word));
  return words;
}

/// ", or auto" where words may stand in place of a value.
std::string or_words(const ValueType& type) {
  return type.words().empty() ? "" : fmt::format(", or {}", fmt::join(type.words(), ", "));
}

void check_integer(const ValueType& type, const YamlValue& value) {
  const std::int64_t number = value.integer(type.low, type.high, or_words(type));
  if (number % type.step != 0) value.refuse(fmt::format("must be a multiple of {}", type.step));
}

void check_number(const ValueType& type, const YamlValue& value) {
  const double number = value.number(type.least, type.most, or_words(type));
  if (!in_bounds(type, number)) value.refuse(fmt::format("must be above {}", type.least));
}

void check_texts(const ValueType& type, const YamlValue& value) {
  const std::vector<std::string> texts = value.texts();
  if (static_cast<std::int64_t>(texts.size()) > type.high) {
    value.refuse(fmt::format("must have at most {} items", type.high));
  }
  std::int64_t bytes = 0;
  for (const std::string& text : texts) {
    if (text.empty()) value.refuse("must not hold an empty string");
    bytes += static_cast<std::int64_t>(text.size());
  }
  if (bytes > type.bytes) {
    value.refuse(fmt::format("must have at most {} KiB in all", type.bytes / 1024));
  }
}

void check_memory(const YamlValue& value) {
  if (value.is_bytes()) {
    if (value.bytes() < 1024) {
      value.refuse("must be at least 1KiB; a fraction has a point, such as 0.9");
    }
    return;
  }
  const std::string& text = value.text();
  if (text.empty() || text.find_first_not_of("0123456789.eE-+") != std::string::npos) {
    value.refuse("must be auto, a size such as 8GiB, or a fraction such as 0.9");
  }
  if (value.number(0, 1) == 0) value.refuse("must be above 0");
}

std::string integer_in_words(const ValueType& type) {
  std::string text = fmt::format("integer, at least {}", type.low);
  if (type.high < kTechnicalBound) text = fmt::format("integer, {} to {}", type.low, type.high);
  if (type.step > 1) text += fmt::format(", multiple of {}", type.step);
  return text;
}

std::string number_in_words(const ValueType& type) {
  if (type.most > static_cast<double>(kTechnicalBound)) {
    return fmt::format("number, at least {}", type.least);
  }
  return fmt::format("number, {}{} to {}", type.above_least ? "above " : "", type.least, type.most);
}

std::string kind_in_words(const ValueType& type) {
  switch (type.kind) {
    case Kind::path:
      return "path";
    case Kind::text:
      return "string";
    case Kind::texts:
      return fmt::format("string, or list of up to {}, {} KiB in all", type.high,
                         type.bytes / 1024);
    case Kind::boolean:
      return "`true`, `false`";
    case Kind::word:
      return fmt::format("{}", fmt::join(quoted_words(type), ", "));
    case Kind::integer:
      return integer_in_words(type);
    case Kind::integer64:
      return "integer of 64 bits";
    case Kind::number:
      return number_in_words(type);
    case Kind::token_ids:
      return "list of token ids";
    case Kind::biases:
      return fmt::format("object: token ids to numbers from {} to {}", type.least, type.most);
    case Kind::duration:
      return "duration such as `90`, `15m`, `2h30m`, `04:00:00`, `1-00:00:00`";
    case Kind::memory:
      return "size such as `8GiB`, fraction such as `0.9`";
  }
  return {};
}

}  // namespace

void check_type(const ValueType& type, const YamlValue& value) {
  const auto is_this = [&](std::string_view word) { return value.is_word(word); };
  if (std::any_of(type.words().begin(), type.words().end(), is_this)) return;
  switch (type.kind) {
    case Kind::path:
      static_cast<void>(value.path());
      break;
    case Kind::text:
      if (value.text().empty()) value.refuse("must not be empty");
      break;
    case Kind::texts:
      check_texts(type, value);
      break;
    case Kind::boolean:
      static_cast<void>(value.boolean());
      break;
    case Kind::word:
      static_cast<void>(value.choice(type.words()));
      break;
    case Kind::integer:
      check_integer(type, value);
      break;
    case Kind::integer64:
      static_cast<void>(value.integer64());
      break;
    case Kind::number:
      check_number(type, value);
      break;
    case Kind::token_ids:
      static_cast<void>(value.integers(0, kMaxTokenId));
      break;
    case Kind::biases:
      value.refuse("can be set in requests only");
      break;
    case Kind::duration:
      static_cast<void>(value.duration());
      break;
    case Kind::memory:
      check_memory(value);
      break;
  }
}

bool in_bounds(const ValueType& type, double number) {
  if (!(number >= type.least && number <= type.most)) return false;
  return !type.above_least || static_cast<float>(number) != static_cast<float>(type.least);
}

std::string bounds_in_words(const ValueType& type) {
  if (type.kind == Kind::integer) return fmt::format("from {} to {}", type.low, type.high);
  return fmt::format("{} {}{} {}", type.above_least ? "above" : "from", type.least,
                     type.above_least ? ", up to" : " to", type.most);
}

std::string in_words(const ValueType& type) {
  std::string text = kind_in_words(type);
  if (type.kind != Kind::word && !type.words().empty()) {
    text += fmt::format(", or {}", fmt::join(quoted_words(type), ", "));
  }
  return text;
}

std::string plain_text(std::string_view markdown) {
  std::string text;
  for (std::size_t i = 0; i < markdown.size(); ++i) {
    const char c = markdown[i];
    if (c == ']' && markdown.substr(i).starts_with("](")) {
      i = std::min(markdown.find(')', i), markdown.size() - 1);
    } else if (c != '`' && c != '[') {
      text += c;
    }
  }
  return text;
}

}  // namespace weft
