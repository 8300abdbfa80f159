// Statistics of repeated measurements, by the rules of Hoefler and Belli (SC15,
// doi 10.1145/2807591.2807644): medians with nonparametric intervals, no normal distribution
// assumed.
#pragma once

#include <optional>
#include <vector>

namespace weft {

struct Interval {
  double low = 0;
  double high = 0;
};
/// Whether they have a value in common.
bool overlap(const Interval& a, const Interval& b);

/// What repeats of one measurement tell.
struct Repeats {
  int count = 0;
  double median = 0;  ///< of an even number the mean of the middle two
  double least = 0;
  double most = 0;
  /// Standard deviation (of a sample) over mean; 0 with one value.
  double variation = 0;
  /// Holds the median with 95 % confidence at least: between the order statistics of ranks k and
  /// n+1-k, k the largest with 2·P(B < k) ≤ 0.05, B binomial of n and 1/2. Nothing below 6 values.
  std::optional<Interval> interval;
};
/// `values` must not be empty.
Repeats repeats_of(std::vector<double> values);

/// The serial fraction by Karp and Flatt (CACM 1990), (1/s - 1/p) / (1 - 1/p), of a speed-up s on p
/// times the base's ranks; p > 1.
double karp_flatt(double speed_up, double p);

}  // namespace weft
