// Element types and small sums that all kernels share.
#pragma once

#include <cstdint>

#include "base/elementary_inline.h"
#include "cuda/platform/lane.h"

namespace weft::WEFT_PLATFORM {

using Bf16 = std::uint16_t;

WEFT_DEVICE float widen(float value) { return value; }
WEFT_DEVICE float widen(Bf16 bits) { return hostdevice::float_of(std::uint32_t{bits} << 16U); }

/// Round to nearest even on the bits; NaN stays NaN (docs/internals/numerics.md).
WEFT_DEVICE std::uint32_t bf16_bits(float value) {
  const std::uint32_t bits = hostdevice::bits_of(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return (bits >> 16U) | 0x40U;
  return (bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U;
}

template <class T>
WEFT_DEVICE T narrow(float value);
template <>
WEFT_DEVICE float narrow<float>(float value) {
  return value;
}
template <>
WEFT_DEVICE Bf16 narrow<Bf16>(float value) {
  return static_cast<Bf16>(bf16_bits(value));
}

/// Two values as the operands of a product want them, the first in the low half.
WEFT_DEVICE std::uint32_t bf16_pair(float first, float second) {
  return bf16_bits(first) | bf16_bits(second) << 16U;
}

/// silu(gate) * up.
WEFT_DEVICE float gated(float gate, float up) {
  return (gate / (1.0F + hostdevice::exp_f32(-gate))) * up;
}

template <class T>
WEFT_DEVICE T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
WEFT_DEVICE T max(T a, T b) {
  return a < b ? b : a;
}

/// Rows of a matrix: the row stride is in elements.
template <class T>
struct Rows {
  T* data = nullptr;
  std::int64_t stride = 0;

  WEFT_DEVICE T* operator[](std::int64_t row) const { return data + row * stride; }
};

/// The 16 lanes of docs/internals/numerics.md combined by halving: lane i of this half of the warp
/// gives the sum of lane i; every lane gets the total. All 32 lanes of the warp take part.
WEFT_DEVICE float sum_by_halving(float lane_sum) {
  // The two lanes of a pair add the same two numbers, so that all lanes end with the same bits.
  WEFT_UNROLL for (int half = 8; half > 0; half /= 2) lane_sum += shuffle_xor(lane_sum, half);
  return lane_sum;
}

}  // namespace weft::WEFT_PLATFORM
