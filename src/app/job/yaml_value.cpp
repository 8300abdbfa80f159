#include "app/job/yaml_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <system_error>
#include <utility>

#include "app/job/slurm_time.h"
#include "base/error.h"

namespace weft {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// A name that an environment variable can have.
bool is_variable(std::string_view name) {
  const auto fits = [](char c) {
    return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return !name.empty() && !is_digit(name.front()) && std::all_of(name.begin(), name.end(), fits);
}

/// Digits without leading zeros, after at most a '-'.
bool looks_integer(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit) &&
         (text.size() == 1 || text.front() != '0');
}

/// [-] digits [. digits] [e [+-] digits], with a digit on either side of the point.
bool looks_number(std::string_view text) {
  const auto take_digits = [&text] {
    const auto end = std::find_if_not(text.begin(), text.end(), is_digit);
    const bool any = end != text.begin();
    text.remove_prefix(static_cast<std::size_t>(end - text.begin()));
    return any;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  if (text.size() > 1 && text[0] == '0' && is_digit(text[1])) return false;
  if (!take_digits()) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (!take_digits()) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (!take_digits()) return false;
  }
  return text.empty();
}

template <class T>
bool convert(std::string_view text, T& value) {
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  return status == std::errc() && end == text.data() + text.size();
}

/// The unit's bytes; 0 when there is no such unit.
Bytes unit_bytes(std::string_view unit) {
  constexpr std::pair<std::string_view, Bytes> units[] = {
      {"", 1},
      {"B", 1},
      {"KiB", Bytes{1} << 10},
      {"MiB", Bytes{1} << 20},
      {"GiB", Bytes{1} << 30},
      {"TiB", Bytes{1} << 40},
      {"KB", 1'000},
      {"MB", 1'000'000},
      {"GB", 1'000'000'000},
      {"TB", 1'000'000'000'000},
  };
  for (const auto& [name, bytes] : units) {
    if (name == unit) return bytes;
  }
  return 0;
}

/// "8GiB", "8 GiB" as (digits, unit).
std::pair<std::string_view, std::string_view> split_unit(std::string_view text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_digit);
  const auto digits = static_cast<std::size_t>(end - text.begin());
  std::string_view unit = text.substr(digits);
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  return {text.substr(0, digits), unit};
}

}  // namespace

const YamlScalar& YamlValue::scalar() const {
  if (is_list) refuse("must be a single value");
  return items.front();
}

const std::string& YamlValue::text() const { return scalar().text; }

bool YamlValue::is_word(std::string_view word) const { return !is_list && text() == word; }

bool YamlValue::boolean() const {
  const YamlScalar& value = scalar();
  if (!value.quoted && value.text == "true") return true;
  if (!value.quoted && value.text == "false") return false;
  refuse("must be true or false");
}

std::int64_t YamlValue::integer(std::int64_t low, std::int64_t high,
                                std::string_view or_else) const {
  const YamlScalar& value = scalar();
  std::int64_t result = 0;
  if (value.quoted || !looks_integer(value.text)) {
    refuse(fmt::format("must be a plain decimal integer{}", or_else));
  }
  if (!convert(value.text, result) || result < low || result > high) {
    refuse(fmt::format("must be from {} to {}{}", low, high, or_else));
  }
  return result;
}

std::uint64_t YamlValue::integer64() const {
  const YamlScalar& value = scalar();
  std::uint64_t result = 0;
  if (value.quoted || !looks_integer(value.text)) refuse("must be a plain decimal integer");
  if (convert(value.text, result)) return result;
  std::int64_t negative = 0;
  if (!convert(value.text, negative)) refuse("must be an integer of 64 bits");
  return static_cast<std::uint64_t>(negative);
}

double YamlValue::number(double low, double high, std::string_view or_else) const {
  const YamlScalar& value = scalar();
  double result = 0;
  if (value.quoted || !looks_number(value.text)) {
    refuse(fmt::format("must be a plain decimal number{}", or_else));
  }
  if (!convert(value.text, result) || !(result >= low && result <= high)) {
    refuse(fmt::format("must be from {} to {}{}", low, high, or_else));
  }
  return result;
}

bool YamlValue::is_bytes() const {
  if (is_list || items.front().quoted) return false;
  const auto [digits, unit] = split_unit(text());
  return looks_integer(digits) && unit_bytes(unit) != 0;
}

Bytes YamlValue::bytes() const {
  const auto [digits, unit] = split_unit(text());
  const Bytes factor = unit_bytes(unit);
  Bytes count = 0;
  if (!is_bytes()) refuse("must be a size such as 8GiB or 500MB");
  if (!convert(digits, count) || count > (Bytes{1} << 60) / factor) refuse("is too large");
  return count * factor;
}

std::int64_t YamlValue::duration() const {
  constexpr std::int64_t most = std::int64_t{10} * 366 * 24 * 3600;
  constexpr std::array<std::pair<char, std::int64_t>, 3> units = {
      {{'h', 3600}, {'m', 60}, {'s', 1}}};
  const auto wrong = [&] { refuse("must be a duration such as 90, 15m, 2h30m or 04:00:00"); };
  if (is_list || text().empty()) wrong();
  const std::optional<std::int64_t> of_slurm = slurm_duration(text());
  // Quoted, as other tools want it: to YAML 1.1 04:00:00 may be a number.
  if (items.front().quoted && !of_slurm) wrong();
  std::string_view left = of_slurm ? std::string_view() : text();
  std::int64_t total = of_slurm.value_or(0);
  std::size_t next_unit = 0;
  while (!left.empty()) {
    const auto end = std::find_if_not(left.begin(), left.end(), is_digit);
    const std::string_view digits = left.substr(0, static_cast<std::size_t>(end - left.begin()));
    left.remove_prefix(digits.size());
    std::int64_t count = 0;
    if (!looks_integer(digits)) wrong();
    if (!convert(digits, count) || count > most) refuse("is too long");
    std::size_t unit = units.size() - 1;  // without any: seconds
    if (!left.empty()) {
      unit = next_unit;
      while (unit < units.size() && units[unit].first != left.front()) ++unit;
      if (unit == units.size()) wrong();
      left.remove_prefix(1);
    } else if (next_unit != 0) {
      wrong();  // 2h30
    }
    next_unit = unit + 1;
    total += count * units[unit].second;
  }
  if (total == 0) refuse("must be above 0");
  if (total > most) refuse("is too long");
  return total;
}

int YamlValue::choice(std::span<const std::string_view> words) const {
  const auto found = std::find(words.begin(), words.end(), text());
  if (found != words.end()) return static_cast<int>(found - words.begin());
  refuse(fmt::format("must be one of {}", fmt::join(words, ", ")));
}

/// The text with its variables replaced.
std::string YamlValue::expanded() const {
  constexpr std::string_view open = "${";
  std::string result;
  std::string_view left = text();
  for (std::size_t at = 0; (at = left.find(open)) != std::string_view::npos;) {
    const bool literal = at > 0 && left[at - 1] == '$';
    result += left.substr(0, literal ? at - 1 : at);
    left.remove_prefix(at + open.size());
    if (literal) {
      result += open;
      continue;
    }
    const std::size_t close = left.find('}');
    const std::string name(left.substr(0, close));
    if (close == std::string_view::npos || !is_variable(name)) {
      refuse("must have the name of a variable and a '}' after each ${ (write $${ for ${ itself)");
    }
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') {
      fail_user("{}: {} has ${{{}}} in it, but the environment variable {} is not set", place, key,
                name, name);
    }
    result += value;
    left.remove_prefix(close + 1);
  }
  return result += left;
}

std::filesystem::path YamlValue::path() const {
  if (text().empty()) refuse("must be a path");
  if (text().find('\0') != std::string::npos) refuse("must be a path without NUL bytes");
  const std::filesystem::path joined = base / expanded();
  // "configs/../run" reads better as "run", where symbolic links do not make it another place.
  const std::filesystem::path tidy = joined.lexically_normal();
  std::error_code failed;
  const bool same = std::filesystem::weakly_canonical(tidy, failed) ==
                    std::filesystem::weakly_canonical(joined, failed);
  return same && !failed ? tidy : joined;
}

std::vector<std::string> YamlValue::strings() const {
  if (!is_list) refuse("must be a list");
  std::vector<std::string> result;
  for (const YamlScalar& item : items) result.push_back(item.text);
  return result;
}

std::vector<std::string> YamlValue::texts() const {
  return is_list ? strings() : std::vector<std::string>{text()};
}

std::vector<std::int64_t> YamlValue::integers(std::int64_t low, std::int64_t high) const {
  if (!is_list) refuse("must be a list");
  std::vector<std::int64_t> result;
  for (const YamlScalar& item : items) {
    YamlValue single = *this;
    single.is_list = false;
    single.items = {item};
    result.push_back(single.integer(low, high));
  }
  return result;
}

void YamlValue::refuse(std::string_view what) const {
  constexpr std::size_t longest = 60;
  std::string shown = "a list";
  if (!is_list) {
    shown = items.front().text.substr(0, longest);
    if (shown.size() < items.front().text.size()) shown += "…";
    shown = yaml_quoted(shown);
    if (!items.front().quoted) shown = shown.substr(1, shown.size() - 2);
    if (shown.empty()) shown = "nothing";
  }
  fail_user("{}: {} {}, not {}", place, key, what, shown);
}

std::string yaml_quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (code < 0x20 || code == 0x7f) {
      quoted += fmt::format("\\x{:02x}", code);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

}  // namespace weft
