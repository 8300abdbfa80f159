// Percentiles of any number of durations in fixed memory.
#pragma once

#include <array>
#include <cstdint>

namespace weft {

/// A histogram of durations in buckets that grow by a constant factor, so that every quantile is
/// known to half a percent (the idea of DDSketch: Masson, Rim and Lee, VLDB 2019). Plain bytes:
/// histograms of several ranks are sent and added.
class Quantiles {
 public:
  /// Adds a duration in seconds. What is outside [1 µs, 10⁶ s] counts as the nearer bound.
  void add(double seconds);
  void add(const Quantiles& others);

  [[nodiscard]] std::int64_t count() const { return count_; }
  /// The value of nearest rank ⌈share·count⌉, to ±0.5 % and not beyond the extremes; 0 when there
  /// is none. `share` in (0, 1].
  [[nodiscard]] double at(double share) const;

 private:
  static constexpr std::size_t kBuckets = 2780;  ///< ⌈ln(10¹²) / ln(1.01)⌉ + 3

  std::array<std::int64_t, kBuckets> counts_{};
  std::int64_t count_ = 0;
  double least_ = 0;
  double most_ = 0;
};

}  // namespace weft
