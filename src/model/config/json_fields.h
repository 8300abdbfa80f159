// Typed, range-checked access to the keys of one JSON object.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

/// The keys of a JSON object. A key whose value is null counts as absent. Every error is a
/// UserError that names the object (`where`), the key, its value and what is allowed.
class JsonFields {
 public:
  /// Throws UserError unless `object` is an object. Keeps a reference to it.
  JsonFields(const nlohmann::json& object, std::string where);

  [[nodiscard]] bool has(std::string_view key) const;
  /// The value of a key that is there, else UserError.
  [[nodiscard]] const nlohmann::json& at(std::string_view key) const;

  /// An integer in [low, high].
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t low,
                                     std::int64_t high) const;
  [[nodiscard]] std::int64_t integer_or(std::string_view key, std::int64_t fallback,
                                        std::int64_t low, std::int64_t high) const;
  /// A number in [low, high].
  [[nodiscard]] double number(std::string_view key, double low, double high) const;
  [[nodiscard]] double number_or(std::string_view key, double fallback, double low,
                                 double high) const;
  [[nodiscard]] std::optional<double> maybe_number(std::string_view key, double low,
                                                   double high) const;
  [[nodiscard]] bool boolean_or(std::string_view key, bool fallback) const;
  [[nodiscard]] std::string text(std::string_view key) const;
  [[nodiscard]] std::string text_or(std::string_view key, std::string_view fallback) const;

  /// Throws the UserError "where: key = value: reason".
  [[noreturn]] void refuse(std::string_view key, std::string_view reason) const;

  [[nodiscard]] const std::string& where() const { return where_; }

 private:
  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace weft
