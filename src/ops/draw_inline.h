// The arithmetic of choosing a token (docs/internals/numerics.md, "From logits to tokens"): one
// source for the host and for devices. What includes this must be compiled without contraction of
// a*b+c.
#pragma once

#include <cstdint>

#include "base/elementary_inline.h"
#include "base/philox.h"
#include "ops/row_sampler.h"

namespace weft::hostdevice {

/// Two numbers in [0, 1) for one attempt at a draw.
struct Uniforms {
  double u;
  double v;
};

WEFT_EVERYWHERE inline Uniforms uniforms(std::uint64_t seed, std::int64_t position,
                                         std::uint64_t choice, std::uint64_t attempt) {
  const Philox::Block words =
      Philox(seed).at(static_cast<std::uint64_t>(position), choice | attempt << 32);
  return {unit_double(words[0], words[1]), unit_double(words[2], words[3])};
}

/// The next f32 below `x`; -infinity stays.
WEFT_EVERYWHERE inline float next_below(float x) {
  const std::uint32_t bits = bits_of(x);
  if (bits == 0xff800000U) return x;
  if (x == 0) return float_of(0x80000001U);
  return float_of((bits & 0x80000000U) != 0 ? bits + 1 : bits - 1);
}

/// The largest f32 below `x`.
WEFT_EVERYWHERE inline float below(double x) {
  const auto nearest = static_cast<float>(x);
  return nearest < x ? nearest : next_below(nearest);
}

/// A token counts when its logit is above this: its weight is then at least min_p of the largest
/// one's.
WEFT_EVERYWHERE inline float min_p_limit(double log_min_p, float largest, float scale) {
  return below(largest + log_min_p / scale);
}

/// Bits of a float, not NaN, that have the order of the floats.
WEFT_EVERYWHERE inline std::uint32_t ordered_bits(float x) {
  const std::uint32_t bits = bits_of(x);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
WEFT_EVERYWHERE inline float from_ordered_bits(std::uint32_t bits) {
  return float_of((bits & 0x80000000U) != 0 ? bits & 0x7fffffffU : ~bits);
}

/// Index of the first weight at which the sum of the weights passes `target`; the last weight above
/// 0 when rounding keeps the sum from it.
WEFT_EVERYWHERE inline std::int64_t passing(const double* weights, std::int64_t count,
                                            double target) {
  double sum = 0;
  std::int64_t last = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (!(weights[i] > 0)) continue;
    sum += weights[i];
    last = i;
    if (target < sum) return i;
  }
  return last;
}

/// Index of a weight drawn with `u`, from the fewest first ones that have top_p of all.
WEFT_EVERYWHERE inline std::int64_t draw_weight(const double* weights, std::int64_t count,
                                                double top_p, double u) {
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) total += weights[i];
  if (top_p < 1) {
    const double wanted = top_p * total;
    total = 0;
    std::int64_t kept = 0;
    while (kept < count && (kept == 0 || total < wanted)) total += weights[kept++];
    count = kept;
  }
  return passing(weights, count, u * total);
}

/// The edited logit, in f32.
WEFT_EVERYWHERE inline float edited(float logit, const LogitEdit& edit, const Penalties& by) {
  if (edit.forbidden) return float_of(0xff800000U);
  logit = logit + edit.bias;
  if (edit.occurred) logit = logit > 0 ? logit / by.repetition : logit * by.repetition;
  if (edit.occurrences > 0) {
    logit = logit - by.frequency * static_cast<float>(edit.occurrences);
    logit = logit - by.presence;
  }
  return logit;
}

/// What stands for minus infinity, which JSON cannot write; as vLLM has it.
constexpr float kLeastLogprob = -9999.0F;

/// log softmax of a logit: `log_sum` is that of exp(x - largest) over its row.
WEFT_EVERYWHERE inline float logprob(float logit, double largest, double log_sum) {
  const double value = (double{logit} - largest) - log_sum;
  return value > kLeastLogprob ? static_cast<float>(value) : kLeastLogprob;
}

}  // namespace weft::hostdevice
