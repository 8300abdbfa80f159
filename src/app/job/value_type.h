// What a value may be, as data: checks, documentation, JSON Schema and completion come from it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>

namespace weft {

class YamlValue;

/// The type of a job key, of a parameter of requests, or of an option, with its bounds. Made by the
/// functions of namespace `types`.
struct ValueType {
  enum class Kind {
    path,
    text,       ///< not empty
    texts,      ///< a text, or a list of up to `high`, `bytes` in all; none of them empty
    boolean,    ///< `true` or `false`
    word,       ///< one of `words`
    integer,    ///< from `low` to `high`, a multiple of `step`
    integer64,  ///< any of 64 bits, signed or not
    number,     ///< from `least`, or above it, to `most`
    token_ids,  ///< a list
    biases,     ///< of bodies alone: an object of token ids and numbers from `least` to `most`
    duration,   ///< whole seconds, or with units such as 2h30m
    memory,     ///< a size or a fraction
  };

  Kind kind = Kind::text;
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::int64_t step = 1;
  std::int64_t bytes = 0;
  double least = 0;
  double most = 0;
  bool above_least = false;  ///< `least` itself, as f32, is not allowed
  std::array<std::string_view, 6> word_list = {};
  std::size_t word_count = 0;

  /// All values of Kind::word; of other kinds the words that may stand in place of one ("auto").
  [[nodiscard]] constexpr std::span<const std::string_view> words() const {
    return std::span(word_list).first(word_count);
  }
  /// The same type, or the word.
  [[nodiscard]] constexpr ValueType or_word(std::string_view word) const {
    ValueType type = *this;
    type.word_list.at(type.word_count++) = word;
    return type;
  }
};

namespace types {

inline constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

constexpr ValueType path() { return {.kind = ValueType::Kind::path}; }
constexpr ValueType text() { return {.kind = ValueType::Kind::text}; }
constexpr ValueType texts(std::int64_t most, std::int64_t bytes) {
  return {.kind = ValueType::Kind::texts, .high = most, .bytes = bytes};
}
constexpr ValueType boolean() { return {.kind = ValueType::Kind::boolean}; }
constexpr ValueType one_of(std::initializer_list<std::string_view> words) {
  ValueType type{.kind = ValueType::Kind::word};
  for (const std::string_view word : words) type = type.or_word(word);
  return type;
}
constexpr ValueType integer(std::int64_t low, std::int64_t high = kUnlimited,
                            std::int64_t step = 1) {
  return {.kind = ValueType::Kind::integer, .low = low, .high = high, .step = step};
}
constexpr ValueType integer64() { return {.kind = ValueType::Kind::integer64}; }
constexpr ValueType number(double least, double most) {
  return {.kind = ValueType::Kind::number, .least = least, .most = most};
}
constexpr ValueType number_above(double least, double most) {
  return {.kind = ValueType::Kind::number, .least = least, .most = most, .above_least = true};
}
constexpr ValueType token_ids() { return {.kind = ValueType::Kind::token_ids}; }
constexpr ValueType biases(double least, double most) {
  return {.kind = ValueType::Kind::biases, .least = least, .most = most};
}
constexpr ValueType duration() { return {.kind = ValueType::Kind::duration}; }
constexpr ValueType memory() { return {.kind = ValueType::Kind::memory}; }

}  // namespace types

/// Throws UserError with the value's place unless it is of the type.
void check_type(const ValueType& type, const YamlValue& value);

/// Whether a number is within the type's bounds.
bool in_bounds(const ValueType& type, double number);

/// The bounds of integers and numbers in a message: "from 0 to 1", "above 0, up to 100".
std::string bounds_in_words(const ValueType& type);

/// For people, as Markdown: "integer, at least 1, or `auto`".
std::string in_words(const ValueType& type);

/// Markdown as plain text: without backticks, links as their text.
std::string plain_text(std::string_view markdown);

}  // namespace weft
