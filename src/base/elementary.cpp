#include "base/elementary.h"

#include <limits>

#include "base/elementary_inline.h"

// This file must be compiled without contraction of a*b+c: the error terms depend on it.

namespace weft {

using hostdevice::exact_product;
using hostdevice::exp_of;
using hostdevice::log_of;
using hostdevice::TwoWords;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

float exp_f32(float x) { return hostdevice::exp_f32(x); }

double exp_d(double x) { return hostdevice::exp_d(x); }

double log_d(double x) { return hostdevice::log_d(x); }

double sin_d(double x) { return hostdevice::sin_d(x); }

double cos_d(double x) { return hostdevice::cos_d(x); }

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
