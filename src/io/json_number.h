// Whole numbers in JSON, which has one kind of number.
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

namespace weft {

/// The value as an integer, also where it is written with a fraction of zeros or an exponent (8.0,
/// 1e3); nothing for anything else, and for what 64 bits with a sign do not hold.
inline std::optional<std::int64_t> whole_number(const nlohmann::json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    return number >> 63 == 0 ? std::optional(static_cast<std::int64_t>(number)) : std::nullopt;
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const auto number = value.get<double>();
  const bool whole = number == std::trunc(number) && std::abs(number) < 0x1p63;
  return whole ? std::optional(static_cast<std::int64_t>(number)) : std::nullopt;
}

}  // namespace weft
