#include "base/quantiles.h"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

constexpr double kLeast = 1e-6;
constexpr double kMost = 1e6;
constexpr double kGrowth = 1.01;  // of one bucket to the next

}  // namespace

void Quantiles::add(double seconds) {
  const double inside = seconds > kLeast ? std::min(seconds, kMost) : kLeast;  // NaN: the least
  const double bucket = std::log(inside / kLeast) / std::log(kGrowth);
  ++counts_[std::min(static_cast<std::size_t>(bucket), kBuckets - 1)];
  least_ = count_ == 0 ? inside : std::min(least_, inside);
  most_ = count_ == 0 ? inside : std::max(most_, inside);
  ++count_;
}

void Quantiles::add(const Quantiles& others) {
  if (others.count_ == 0) return;
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += others.counts_[i];
  least_ = count_ == 0 ? others.least_ : std::min(least_, others.least_);
  most_ = count_ == 0 ? others.most_ : std::max(most_, others.most_);
  count_ += others.count_;
}

double Quantiles::at(double share) const {
  const auto rank = static_cast<std::int64_t>(std::ceil(share * static_cast<double>(count_)));
  std::int64_t below = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    below += counts_[i];
    // The middle of the bucket, by ratio.
    if (counts_[i] > 0 && below >= rank) {
      return std::clamp(kLeast * std::pow(kGrowth, static_cast<double>(i) + 0.5), least_, most_);
    }
  }
  return 0;
}

}  // namespace weft
