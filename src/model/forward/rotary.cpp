#include "model/forward/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "base/elementary.h"

namespace weft {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

/// Frequency as the wavelength asks: kept, divided by the factor, or blended.
double llama3_frequency(double frequency, const RopeScaling& scaling) {
  const double wavelength = kTwoPi / frequency;
  const double longest_kept = scaling.original_max_positions / scaling.high_freq_factor;
  const double shortest_divided = scaling.original_max_positions / scaling.low_freq_factor;
  if (wavelength < longest_kept) return frequency;
  if (wavelength > shortest_divided) return frequency / scaling.factor;
  const double blend = (scaling.original_max_positions / wavelength - scaling.low_freq_factor) /
                       (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - blend) * frequency / scaling.factor + blend * frequency;
}

/// The ramp of YaRN: 0 where a frequency is kept, 1 where it is divided by the factor.
class YarnRamp {
 public:
  YarnRamp(const ModelConfig& config, const RopeScaling& scaling) {
    const auto dim = static_cast<double>(config.head_dim);
    // The pair that turns `rotations` times over the original context.
    const auto pair_turning = [&](double rotations) {
      return dim * log_d(scaling.original_max_positions / (rotations * kTwoPi)) /
             (2 * log_d(config.rope_theta));
    };
    low_ = pair_turning(scaling.beta_fast);
    high_ = pair_turning(scaling.beta_slow);
    if (scaling.truncate) {
      low_ = std::floor(low_);
      high_ = std::ceil(high_);
    }
    low_ = std::max(low_, 0.0);
    high_ = std::min(high_, dim - 1);
    if (low_ == high_) high_ += 0.001;
  }

  [[nodiscard]] double at(std::int64_t pair) const {
    return std::clamp((static_cast<double>(pair) - low_) / (high_ - low_), 0.0, 1.0);
  }

 private:
  double low_ = 0;
  double high_ = 0;
};

double yarn_magnitude(double factor, double weight) {
  return factor <= 1 ? 1.0 : 0.1 * weight * log_d(factor) + 1.0;
}

double yarn_scale(const RopeScaling& scaling) {
  if (scaling.attention_factor) return *scaling.attention_factor;
  if (scaling.mscale.value_or(0) != 0 && scaling.mscale_all_dim.value_or(0) != 0) {
    return yarn_magnitude(scaling.factor, *scaling.mscale) /
           yarn_magnitude(scaling.factor, *scaling.mscale_all_dim);
  }
  return yarn_magnitude(scaling.factor, 1);
}

}  // namespace

Rotary rotary_of(const ModelConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  Rotary rotary;
  std::optional<YarnRamp> ramp;
  if (scaling.type == RopeScaling::Type::yarn) ramp.emplace(config, scaling);
  for (std::int64_t pair = 0; pair < config.head_dim / 2; ++pair) {
    // The power and its inverse are f32, as in the models' training code.
    const float exponent = static_cast<float>(2 * pair) / static_cast<float>(config.head_dim);
    const auto power = static_cast<float>(pow_d(config.rope_theta, exponent));
    double frequency = 1.0F / power;
    switch (scaling.type) {
      case RopeScaling::Type::none:
        break;
      case RopeScaling::Type::linear:
        frequency /= scaling.factor;
        break;
      case RopeScaling::Type::llama3:
        frequency = llama3_frequency(frequency, scaling);
        break;
      case RopeScaling::Type::yarn:
        frequency = frequency / scaling.factor * ramp->at(pair) + frequency * (1 - ramp->at(pair));
        break;
    }
    rotary.inverse_frequencies.push_back(static_cast<float>(frequency));
  }
  if (scaling.type == RopeScaling::Type::yarn) {
    rotary.scale = static_cast<float>(yarn_scale(scaling));
  }
  return rotary;
}

}  // namespace weft
