// Our own elementary functions against the C library's.
#include "base/elementary.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "catch.h"

namespace weft {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double relative(double is, double should) { return std::abs(is - should) / std::abs(should); }

TEST_CASE("exp_f32 is within 1.1 units in the last place everywhere", "[elementary]") {
  double worst = 0;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 4099) {
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (std::isnan(x)) {
      REQUIRE(std::isnan(exp_f32(x)));
      continue;
    }
    const double exact = std::exp(double{x});
    const auto nearest = static_cast<float>(exact);
    if (nearest == 0 || std::isinf(nearest)) {
      REQUIRE(exp_f32(x) == nearest);
      continue;
    }
    const double unit = std::ldexp(1.0, std::max(std::ilogb(exact), -126) - 23);
    worst = std::max(worst, std::abs(exp_f32(x) - exact) / unit);
  }
  CHECK(worst < 1.1);
  CHECK(exp_f32(0.0F) == 1.0F);
  CHECK(exp_f32(-0.0F) == 1.0F);
  CHECK(exp_f32(-100.0F) > 0.0F);  // a denormal
}

TEST_CASE("double functions agree with the C library", "[elementary]") {
  std::mt19937_64 engine(7);
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(engine);
  };
  double worst[5] = {};
  for (int i = 0; i < 100000; ++i) {
    const double x = uniform(-700, 700);
    worst[0] = std::max(worst[0], relative(exp_d(x), std::exp(x)));
    const double y = i % 2 == 0 ? std::exp(x) : uniform(0.5, 2);
    worst[1] = std::max(worst[1], relative(log_d(y), std::log(y)));
    const double z = i % 2 == 0 ? uniform(-1e7, 1e7) : uniform(-10, 10);
    worst[2] = std::max(worst[2], relative(sin_d(z), std::sin(z)));
    worst[3] = std::max(worst[3], relative(cos_d(z), std::cos(z)));
    const double base = std::exp(uniform(-20, 20));
    const double power = uniform(-30, 30);
    worst[4] = std::max(worst[4], relative(pow_d(base, power), std::pow(base, power)));
  }
  for (const double error : worst) CHECK(error < 5e-16);
}

TEST_CASE("sine and cosine keep their accuracy next to multiples of pi/2", "[elementary]") {
  for (int n = 1; n < 6000000; n += 977) {
    const double x = static_cast<float>(n * 1.5707963267948966);
    CHECK(relative(sin_d(x), std::sin(x)) < 5e-16);
    CHECK(relative(cos_d(x), std::cos(x)) < 5e-16);
  }
}

TEST_CASE("double functions at their edges", "[elementary]") {
  CHECK(exp_d(0) == 1);
  CHECK(exp_d(-kInfinity) == 0);
  CHECK(exp_d(kInfinity) == kInfinity);
  CHECK(exp_d(710) == kInfinity);
  CHECK(exp_d(-745) == 0x1p-1074);
  CHECK(std::isnan(exp_d(kNaN)));
  CHECK(log_d(1) == 0);
  CHECK(log_d(0) == -kInfinity);
  CHECK(log_d(kInfinity) == kInfinity);
  CHECK(std::isnan(log_d(-1)));
  CHECK(relative(log_d(0x1p-1074), std::log(0x1p-1074)) < 5e-16);
  CHECK(sin_d(0) == 0);
  CHECK(cos_d(0) == 1);
  CHECK(std::isnan(sin_d(kInfinity)));
  CHECK(std::isnan(cos_d(kNaN)));
  CHECK(pow_d(10000, 0) == 1);
  CHECK(pow_d(2, 10) == 1024);
  CHECK(pow_d(0, 2) == 0);
  CHECK(pow_d(0, -2) == kInfinity);
  CHECK(pow_d(2, 1e300) == kInfinity);
  CHECK(pow_d(0.5, 1e300) == 0);
  CHECK(std::isnan(pow_d(-2, 2)));
}

}  // namespace
}  // namespace weft
