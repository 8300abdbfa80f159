#include "app/report/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace weft {
namespace {

constexpr double kError = 0.05;  ///< of both tails together

/// The rank k of the lower end, from 1; 0 where there are too few values.
std::size_t lower_rank(std::size_t n) {
  const double count = static_cast<double>(n);
  double below = 0;  // P(B < k)
  std::size_t k = 0;
  while (k < n) {
    // P(B = k) by logarithms: 0.5^n alone is 0 from n = 1075.
    const double chosen = static_cast<double>(k);
    below += std::exp(std::lgamma(count + 1) - std::lgamma(chosen + 1) -
                      std::lgamma(count - chosen + 1) - count * std::log(2.0));
    if (2 * below > kError) break;
    ++k;
  }
  return k;
}

}  // namespace

bool overlap(const Interval& a, const Interval& b) { return a.low <= b.high && b.low <= a.high; }

Repeats repeats_of(std::vector<double> values) {
  require(!values.empty(), "repeats_of: no values");
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  Repeats repeats{.count = static_cast<int>(n),
                  .median = (values[(n - 1) / 2] + values[n / 2]) / 2,
                  .least = values.front(),
                  .most = values.back(),
                  .variation = 0,
                  .interval = {}};
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(n);
  if (n > 1 && mean != 0) {
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    repeats.variation = std::sqrt(squares / static_cast<double>(n - 1)) / mean;
  }
  if (const std::size_t k = lower_rank(n); k > 0) {
    repeats.interval = Interval{values[k - 1], values[n - k]};
  }
  return repeats;
}

double karp_flatt(double speed_up, double p) { return (1 / speed_up - 1 / p) / (1 - 1 / p); }

}  // namespace weft
