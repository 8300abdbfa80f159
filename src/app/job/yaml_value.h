// One value of a YAML file, still as text, and its strict readings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace weft {

/// A scalar as written. Quoted ones are strings and nothing else.
struct YamlScalar {
  std::string text;
  bool quoted = false;
};

/// The value of one key: a scalar, or a list of scalars. The readings throw UserError that starts
/// with the value's place. None of YAML's guesses apply: `yes` is no boolean and `010` no number.
class YamlValue {
 public:
  std::string key;             ///< "engine.isa"
  std::string place;           ///< "job.yaml:7" or "--set engine.isa"
  std::filesystem::path base;  ///< what a relative path is relative to
  bool is_list = false;
  std::vector<YamlScalar> items;  ///< one when it is no list

  /// Any scalar's text.
  [[nodiscard]] const std::string& text() const;
  /// `true` or `false`.
  [[nodiscard]] bool boolean() const;
  /// Plain decimal digits with at most a '-' before them, within [low, high]. `or_else`, such as
  /// ", or auto", is what the message adds.
  [[nodiscard]] std::int64_t integer(std::int64_t low = std::numeric_limits<std::int64_t>::min(),
                                     std::int64_t high = std::numeric_limits<std::int64_t>::max(),
                                     std::string_view or_else = {}) const;
  /// An integer of 64 bits, signed or not; a negative one as its two's complement.
  [[nodiscard]] std::uint64_t integer64() const;
  /// A plain decimal number such as 1, 0.5, 1e-3, within [low, high].
  [[nodiscard]] double number(double low = std::numeric_limits<double>::lowest(),
                              double high = std::numeric_limits<double>::max(),
                              std::string_view or_else = {}) const;
  /// Whether the scalar is the plain word.
  [[nodiscard]] bool is_word(std::string_view word) const;
  /// Whether the scalar is an integer with a unit of bytes, or without.
  [[nodiscard]] bool is_bytes() const;
  /// A size: digits, then B, KiB, MiB, GiB, TiB or KB, MB, GB, TB (decimal). Without a unit: bytes.
  [[nodiscard]] Bytes bytes() const;
  /// A duration in whole seconds, at least one: digits, or hours, minutes and seconds such as
  /// 2h30m, 15m, 90s, each at most once and in this order, or as Slurm writes it, 1-04:00:00.
  [[nodiscard]] std::int64_t duration() const;
  /// Position of the text among `words`.
  [[nodiscard]] int choice(std::span<const std::string_view> words) const;
  [[nodiscard]] int choice(std::initializer_list<std::string_view> words) const {
    return choice(std::span(words.begin(), words.size()));
  }
  /// Text as a path, relative to `base`. "${NAME}" in it is a variable of the environment, which
  /// must be set and not be empty; "$${" is "${".
  [[nodiscard]] std::filesystem::path path() const;
  /// A list of scalars, as strings: in a list, plain words are strings too.
  [[nodiscard]] std::vector<std::string> strings() const;
  /// The same, or one scalar as a list of its own.
  [[nodiscard]] std::vector<std::string> texts() const;
  /// A list of integers within [low, high].
  [[nodiscard]] std::vector<std::int64_t> integers(std::int64_t low, std::int64_t high) const;

  /// Throws UserError "PLACE: KEY WHAT, not VALUE".
  [[noreturn]] void refuse(std::string_view what) const;

 private:
  [[nodiscard]] const YamlScalar& scalar() const;
  [[nodiscard]] std::string expanded() const;
};

/// Text as a double-quoted YAML scalar.
std::string yaml_quoted(std::string_view text);

}  // namespace weft
