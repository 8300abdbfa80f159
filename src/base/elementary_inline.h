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

namespace weft::hostdevice {

WEFT_EVERYWHERE inline std::uint32_t bits_of(float value) {
  return __builtin_bit_cast(std::uint32_t, value);
}
WEFT_EVERYWHERE inline float float_of(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
WEFT_EVERYWHERE inline double not_a_number() {
  return __builtin_bit_cast(double, std::uint64_t{0x7ff8000000000000U});
}

WEFT_EVERYWHERE inline double infinity() {
  return __builtin_bit_cast(double, std::uint64_t{0x7ff0000000000000U});
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

/// series, then times x plus the next divisor's inverse, and so on: without a loop, in which
/// compilers would divide at run time.
template <class... Divisors>
WEFT_EVERYWHERE inline double horner(double x, double series, Divisors... divisors) {
  ((series = series * x + 1.0 / divisors), ...);
  return series;
}

WEFT_EVERYWHERE inline double sin_series(TwoWords x) {
  const double square = x.high * x.high;
  // Taylor coefficients 1/17! … -1/3!.
  const double series = horner(square, 1.0 / 355687428096000.0, -1307674368000.0, 6227020800.0,
                               -39916800.0, 362880.0, -5040.0, 120.0, -6.0);
  return x.high + (x.high * square * series + x.low * (1 - 0.5 * square));
}

WEFT_EVERYWHERE inline double cos_series(TwoWords x) {
  const double square = x.high * x.high;
  // Taylor coefficients -1/18! … 1/4!.
  const double series = horner(square, -1.0 / 6402373705728000.0, 20922789888000.0, -87178291200.0,
                               479001600.0, -3628800.0, 40320.0, -720.0, 24.0);
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

constexpr double kLn2High =
    0x1.62e42fefa3000p-1;  // 41 bits behind the point: n * kLn2High is exact
constexpr double kLn2Low = 0x1.3de6af278ece6p-42;

/// 2^n for -1022 <= n <= 1023.
WEFT_EVERYWHERE inline double power_of_two(std::int64_t n) {
  return __builtin_bit_cast(double, static_cast<std::uint64_t>(n + 1023) << 52);
}

/// a * b exactly (Dekker), for magnitudes between 2^-480 and 2^480.
WEFT_EVERYWHERE inline TwoWords exact_product(double a, double b) {
  constexpr double splitter = 0x1p27 + 1;
  const double a_high = a * splitter - (a * splitter - a);
  const double b_high = b * splitter - (b * splitter - b);
  const double a_low = a - a_high;
  const double b_low = b - b_high;
  const double product = a * b;
  return {product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

/// exp(x + tail) for a tail that is small beside 1.
WEFT_EVERYWHERE inline double exp_of(double x, double tail) {
  if (x != x) return x;
  if (x > 710) return infinity();
  if (x < -746) return 0;
  const double n = (x * 0x1.71547652b82fep+0 + kRounder) - kRounder;
  const double high = x - n * kLn2High;
  const double low = n * kLn2Low - tail;
  const double r = high - low;
  // Taylor coefficients 1/13! … 1/2!.
  const double series = horner(r, 1.0 / 6227020800.0, 479001600.0, 39916800.0, 3628800.0, 362880.0,
                               40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0, 2.0);
  const double lost = (high - r) - low;  // what the rounding of r dropped
  const double value = 1 + (r + (r * r * series + lost));
  const auto exponent = static_cast<std::int64_t>(n);
  const std::int64_t half = exponent / 2;
  return value * power_of_two(half) * power_of_two(exponent - half);
}

/// x = 2^exponent * (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), for finite x > 0.
struct Split {
  double exponent;
  double f;
};

WEFT_EVERYWHERE inline Split split(double x) {
  std::int64_t exponent = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    exponent = -54;
  }
  const auto bits = __builtin_bit_cast(std::uint64_t, x);
  exponent += static_cast<std::int64_t>(bits >> 52) - 1023;
  double m = __builtin_bit_cast(double, (bits & 0x000fffffffffffffU) | 0x3ff0000000000000U);
  if (m >= 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    ++exponent;
  }
  return {static_cast<double>(exponent), m - 1};
}

/// log x in two words, for finite x > 0.
WEFT_EVERYWHERE inline TwoWords log_of(double x) {
  const auto [exponent, f] = split(x);
  // s = f / (2 + f) in two words.
  const TwoWords divisor = exact_sum(2, f);
  const double s = f / divisor.high;
  const TwoWords back = exact_product(s, divisor.high);
  const double s_low = ((f - back.high) - back.low - s * divisor.low) / divisor.high;
  // 2 artanh(s) = 2s + 2s^3 (1/3 + s^2/5 + …).
  const double square = s * s;
  const double series =
      horner(square, 1.0 / 25.0, 23.0, 21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0);
  const double rest = 2 * s_low + 2 * s * square * series;
  const TwoWords sum = exact_sum(exponent * kLn2High, 2 * s);
  return exact_sum(sum.high, sum.low + (exponent * kLn2Low + rest));
}

WEFT_EVERYWHERE inline double exp_d(double x) { return exp_of(x, 0); }

WEFT_EVERYWHERE inline double log_d(double x) {
  if (x != x || x < 0) return not_a_number();
  if (x == 0) return -infinity();
  if (x == infinity()) return x;
  return log_of(x).high;
}

}  // namespace weft::hostdevice
