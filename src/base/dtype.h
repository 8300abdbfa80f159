// Element types of tensors, and the exact conversions between them.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "base/types.h"

namespace weft {

/// Element type. `f16` occurs only in checkpoints that are being converted, `i32` only in token ids
/// and index arrays.
enum class DType : std::uint8_t { bf16, f32, f16, i32 };

/// "bf16", "f32", "f16", "i32".
std::string_view name(DType dtype);

/// The type with that name; throws UserError when there is none.
DType dtype_from_name(std::string_view name);

/// Bytes of one element.
constexpr Bytes size_of(DType dtype) { return dtype == DType::bf16 || dtype == DType::f16 ? 2 : 4; }

/// bf16 to f32, exact.
inline float f32_from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// f32 to bf16, round to nearest, ties to even, by integer arithmetic: denormals are rounded like
/// other numbers, a NaN stays a (quiet) NaN, overflow gives infinity.
inline std::uint16_t bf16_from_f32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

/// f16 (IEEE binary16) to f32, exact, denormals included.
float f32_from_f16(std::uint16_t bits);

}  // namespace weft
