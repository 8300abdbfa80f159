// The elementary functions that GPU kernels use too: one source for the host and for devices. Host
// code calls them by way of base/elementary.h.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/elementary.h"

#ifdef __CUDACC__
#define WEFT_EVERYWHERE __host__ __device__
#else
#define WEFT_EVERYWHERE
#endif

// What includes this must be compiled without contraction of a*b+c: the error terms below depend on
// it.

namespace weft::everywhere {

WEFT_EVERYWHERE inline std::uint32_t bits_of(float value) {
  return __builtin_bit_cast(std::uint32_t, value);
}
WEFT_EVERYWHERE inline float float_of(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
WEFT_EVERYWHERE inline double not_a_number() {
  return __builtin_bit_cast(double, std::uint64_t{0x7ff8000000000000U});
}

/// Angles from here on are refused.
constexpr double kLargestAngle = 0x1p50;

/// Adding and subtracting it rounds to an integer, ties to even.
constexpr double kRounder = 0x1.8p+52;

/// An unevaluated sum; `low` is at most about one unit of `high`'s last place.
struct TwoWords {
  double high;
  double low;
};

/// a + b exactly (Knuth).
WEFT_EVERYWHERE inline TwoWords exact_sum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

WEFT_EVERYWHERE inline float exp_f32(float x) {
  using namespace exp_terms;
  if (x > highest) x = highest;
  if (x < lowest) x = lowest;
  const float shifted = fmaf(x, log2_e, rounder);
  const float n = shifted - rounder;
  float r = fmaf(n, -ln2_high, x);
  r = fmaf(n, -ln2_low, r);
  float series = c4;
  series = fmaf(series, r, c3);
  series = fmaf(series, r, c2);
  series = fmaf(series, r, c1);
  series = fmaf(series, r, c0);
  const float value = 1.0F + fmaf(r * r, series, r);
  const auto exponent = static_cast<std::int32_t>(bits_of(shifted) - bits_of(rounder));
  const std::int32_t half = exponent >> 1;
  const auto scale = [](std::int32_t power) {
    return float_of((static_cast<std::uint32_t>(power) + 127U) << 23);
  };
  return value * scale(half) *
         scale(static_cast<std::int32_t>(static_cast<std::uint32_t>(exponent) -
                                         static_cast<std::uint32_t>(half)));
}

/// x = quarter turns * pi/2 + (high + low), |high| <= pi/4 and a little.
struct Angle {
  std::uint64_t quarter;  // modulo 4
  TwoWords rest;
};

WEFT_EVERYWHERE inline Angle reduce(double x) {
  // Parts of pi/2 with 30 bits each: the products with n are exact up to n = 2^23.
  constexpr double first = 0x1.921fb54p+0;
  constexpr double second = 0x1.10b46118p-30;
  constexpr double third = 0x1.313198a2e0370p-61;
  const double n = (x * 0x1.45f306dc9c883p-1 + kRounder) - kRounder;
  const TwoWords difference = exact_sum(x - n * first, -(n * second));
  const auto quarter = static_cast<std::uint64_t>(static_cast<std::int64_t>(n)) & 3U;
  return {quarter, exact_sum(difference.high, difference.low - n * third)};
}

WEFT_EVERYWHERE inline double sin_series(TwoWords x) {
  const double square = x.high * x.high;
  double series = 1.0 / 355687428096000.0;  // 1/17!
  constexpr double factorials[] = {-1307674368000.0, 6227020800.0, -39916800.0, 362880.0,
                                   -5040.0,          120.0,        -6.0};
  for (const double factorial : factorials) series = series * square + 1.0 / factorial;
  return x.high + (x.high * square * series + x.low * (1 - 0.5 * square));
}

WEFT_EVERYWHERE inline double cos_series(TwoWords x) {
  const double square = x.high * x.high;
  double series = -1.0 / 6402373705728000.0;  // 1/18!
  constexpr double factorials[] = {20922789888000.0, -87178291200.0, 479001600.0, -3628800.0,
                                   40320.0,          -720.0,         24.0};
  for (const double factorial : factorials) series = series * square + 1.0 / factorial;
  const double half = 0.5 * square;
  const double head = 1 - half;
  return head + (((1 - head) - half) + (square * square * series - x.high * x.low));
}

WEFT_EVERYWHERE inline double sin_d(double x) {
  if (!(x > -kLargestAngle && x < kLargestAngle)) return not_a_number();
  if (x == 0) return x;
  const auto [quarter, rest] = reduce(x);
  const double value = (quarter & 1U) == 0 ? sin_series(rest) : cos_series(rest);
  return (quarter & 2U) == 0 ? value : -value;
}

WEFT_EVERYWHERE inline double cos_d(double x) {
  if (!(x > -kLargestAngle && x < kLargestAngle)) return not_a_number();
  const auto [quarter, rest] = reduce(x);
  const double value = (quarter & 1U) == 0 ? cos_series(rest) : sin_series(rest);
  return quarter == 0 || quarter == 3 ? value : -value;
}

}  // namespace weft::everywhere
