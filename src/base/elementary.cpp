#include "base/elementary.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/elementary_inline.h"

// This file must be compiled without contraction of a*b+c: the error terms below depend on it.

namespace weft {

using everywhere::exact_sum;
using everywhere::kRounder;
using everywhere::TwoWords;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

constexpr double kLn2High =
    0x1.62e42fefa3000p-1;  // 41 bits behind the point: n * kLn2High is exact
constexpr double kLn2Low = 0x1.3de6af278ece6p-42;

/// 2^n for -1022 <= n <= 1023.
double power_of_two(std::int64_t n) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(n + 1023) << 52);
}

/// a * b exactly (Dekker), for magnitudes between 2^-480 and 2^480.
TwoWords exact_product(double a, double b) {
  constexpr double splitter = 0x1p27 + 1;
  const double a_high = a * splitter - (a * splitter - a);
  const double b_high = b * splitter - (b * splitter - b);
  const double a_low = a - a_high;
  const double b_low = b - b_high;
  const double product = a * b;
  return {product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

/// exp(x + tail) for a tail that is small beside 1.
double exp_of(double x, double tail) {
  if (x != x) return x;
  if (x > 710) return kInfinity;
  if (x < -746) return 0;
  const double n = (x * 0x1.71547652b82fep+0 + kRounder) - kRounder;
  const double high = x - n * kLn2High;
  const double low = n * kLn2Low - tail;
  const double r = high - low;
  // Taylor coefficients 1/13! … 1/2!.
  double series = 1.0 / 6227020800.0;
  constexpr double factorials[] = {479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0,
                                   720.0,       120.0,      24.0,      6.0,      2.0};
  for (const double factorial : factorials) series = series * r + 1.0 / factorial;
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

Split split(double x) {
  std::int64_t exponent = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    exponent = -54;
  }
  const auto bits = std::bit_cast<std::uint64_t>(x);
  exponent += static_cast<std::int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffU) | 0x3ff0000000000000U);
  if (m >= 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    ++exponent;
  }
  return {static_cast<double>(exponent), m - 1};
}

/// log x in two words, for finite x > 0.
TwoWords log_of(double x) {
  const auto [exponent, f] = split(x);
  // s = f / (2 + f) in two words.
  const TwoWords divisor = exact_sum(2, f);
  const double s = f / divisor.high;
  const TwoWords back = exact_product(s, divisor.high);
  const double s_low = ((f - back.high) - back.low - s * divisor.low) / divisor.high;
  // 2 artanh(s) = 2s + 2s^3 (1/3 + s^2/5 + …).
  const double square = s * s;
  double series = 1.0 / 25.0;
  for (int n = 23; n >= 3; n -= 2) series = series * square + 1.0 / n;
  const double rest = 2 * s_low + 2 * s * square * series;
  const TwoWords sum = exact_sum(exponent * kLn2High, 2 * s);
  return exact_sum(sum.high, sum.low + (exponent * kLn2Low + rest));
}

}  // namespace

float exp_f32(float x) { return everywhere::exp_f32(x); }

double exp_d(double x) { return exp_of(x, 0); }

double log_d(double x) {
  if (x != x || x < 0) return kNaN;
  if (x == 0) return -kInfinity;
  if (x == kInfinity) return x;
  return log_of(x).high;
}

double sin_d(double x) { return everywhere::sin_d(x); }

double cos_d(double x) { return everywhere::cos_d(x); }

double pow_d(double x, double y) {
  if (y == 0) return 1;
  if (x != x || y != y || x < 0) return kNaN;
  if (x == 0) return y > 0 ? 0 : kInfinity;
  if (x == 1) return 1;
  if (x == kInfinity || y == kInfinity || y == -kInfinity) {
    return (x > 1) == (y > 0) ? kInfinity : 0;
  }
  const TwoWords log = log_of(x);
  // Beyond this |y| every x other than 1 overflows or underflows.
  const double bounded = y > 0x1p64 ? 0x1p64 : (y < -0x1p64 ? -0x1p64 : y);
  const TwoWords product = exact_product(bounded, log.high);
  return exp_of(product.high, product.low + bounded * log.low);
}

}  // namespace weft
