#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/elementary.h"
#include "base/philox.h"

namespace weft {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr auto kBlock = static_cast<std::size_t>(kVocabBlock);

/// Two numbers in [0, 1) for one attempt at a draw.
std::array<double, 2> uniforms(std::uint64_t seed, DrawPlace place, std::uint64_t attempt) {
  const auto choice = static_cast<std::uint64_t>(place.choice);
  const Philox::Block words =
      Philox(seed).at(static_cast<std::uint64_t>(place.position), choice | attempt << 32);
  return {unit_double(words[0], words[1]), unit_double(words[2], words[3])};
}

/// The largest f32 below `x`.
float below(double x) {
  const auto nearest = static_cast<float>(x);
  return nearest < x ? nearest : std::nextafter(nearest, -kInfinity);
}

/// A token counts when its logit is above this: its weight is then at least min_p of the largest
/// one's.
float min_p_limit(double min_p, float largest, float scale) {
  if (min_p <= 0) return -kInfinity;
  return below(largest + log_d(min_p) / scale);
}

/// Bits of a float, not NaN, that have the order of the floats.
std::uint32_t ordered_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
float from_ordered_bits(std::uint32_t bits) {
  return std::bit_cast<float>((bits & 0x80000000U) != 0 ? bits & 0x7fffffffU : ~bits);
}

/// A value with at least `count` of the values at or above it, and not many more; the lowest finite
/// one where there are not that many. By their upper 12 bits, counted.
float least_of_largest(std::span<const float> values, std::int64_t count) {
  constexpr std::uint32_t shift = 20;
  std::vector<std::int64_t> counts(std::size_t{1} << (32 - shift), 0);
  for (const float value : values) {
    if (value > -kInfinity) ++counts[ordered_bits(value) >> shift];
  }
  std::int64_t above = 0;
  for (std::size_t i = counts.size(); i-- > 0;) {
    above += counts[i];
    if (above < count) continue;
    const float least = from_ordered_bits(static_cast<std::uint32_t>(i) << shift);
    return least > -kInfinity ? least : std::numeric_limits<float>::lowest();
  }
  return std::numeric_limits<float>::lowest();
}

/// Index of the first weight at which the sum of the weights passes `target`; the last weight above
/// 0 when rounding keeps the sum from it.
std::size_t passing(std::span<const double> weights, double target) {
  double sum = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    sum += weights[i];
    last = i;
    if (target < sum) return i;
  }
  return last;
}

}  // namespace

std::vector<std::int32_t> best_blocks(std::span<const float> maxima, std::int64_t count) {
  std::vector<std::int32_t> blocks(maxima.size());
  std::iota(blocks.begin(), blocks.end(), 0);
  if (count >= static_cast<std::int64_t>(blocks.size())) return blocks;
  const auto larger = [&](std::int32_t a, std::int32_t b) {
    const float x = maxima[static_cast<std::size_t>(a)];
    const float y = maxima[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::nth_element(blocks.begin(), blocks.begin() + count, blocks.end(), larger);
  blocks.resize(static_cast<std::size_t>(count));
  std::sort(blocks.begin(), blocks.end());
  return blocks;
}

std::vector<Candidate> best_tokens(std::span<const float> maxima,
                                   std::span<const std::int32_t> blocks,
                                   std::span<const float> values, std::int64_t count) {
  // With `count` blocks, the least of their maxima has that many tokens at or above it.
  float least = std::numeric_limits<float>::lowest();
  if (static_cast<std::int64_t>(blocks.size()) >= count) {
    float smallest = kInfinity;
    for (const std::int32_t b : blocks) {
      smallest = std::min(smallest, maxima[static_cast<std::size_t>(b)]);
    }
    least = std::max(least, smallest);
  } else {
    least = least_of_largest(values, count);
  }
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const float* const block = values.data() + i * kBlock;
    const auto first = static_cast<TokenId>(blocks[i] * kVocabBlock);
    for (std::size_t c = 0; c < kBlock; ++c) {
      if (block[c] >= least) candidates.push_back({block[c], first + static_cast<TokenId>(c)});
    }
  }
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(count, 0));
  if (candidates.size() > most) {
    std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(most),
                     candidates.end(), Before());
    candidates.resize(most);
  }
  std::sort(candidates.begin(), candidates.end(), Before());
  return candidates;
}

float inverse_temperature(double temperature) {
  return static_cast<float>(std::min(1 / temperature, double{std::numeric_limits<float>::max()}));
}

TokenId draw_candidate(std::span<const Candidate> candidates, const SamplingParams& params,
                       DrawPlace place) {
  const Candidate& first = candidates.front();
  if (params.greedy() || !(std::abs(first.logit) < kInfinity)) return first.token;
  const float scale = inverse_temperature(params.temperature);
  const float limit = min_p_limit(params.min_p, first.logit, scale);
  std::vector<double> weights;
  double total = 0;
  for (const Candidate& candidate : candidates) {
    if (!(candidate.logit > limit)) break;
    weights.push_back(exp_d((double{candidate.logit} - first.logit) * scale));
    total += weights.back();
  }
  if (params.top_p < 1) {
    const double wanted = params.top_p * total;
    total = 0;
    std::size_t kept = 0;
    while (kept < weights.size() && (kept == 0 || total < wanted)) total += weights[kept++];
    weights.resize(kept);
  }
  const double u = uniforms(params.seed, place, 0)[0];
  return candidates[passing(weights, u * total)].token;
}

RowDraw::RowDraw(const SamplingParams& params, DrawPlace place, TokenId best, std::int32_t row,
                 std::span<const float> maxima)
    : top_p_(params.top_p), seed_(params.seed), place_(place), best_(best), maxima_(maxima) {
  largest_ = *std::max_element(maxima.begin(), maxima.end());
  mass_.row = row;
  mass_.scale = inverse_temperature(params.temperature);
  if (std::abs(largest_) < kInfinity) {
    mass_.before = mass_.behind = min_p_limit(params.min_p, largest_, mass_.scale);
  } else {
    token_ = best;
  }
}

void RowDraw::weigh(std::span<const float> masses) {
  std::vector<double> weights(masses.size(), 0);
  double total = 0;
  for (std::size_t b = 0; b < masses.size(); ++b) {
    if (!(masses[b] > 0)) continue;
    weights[b] = masses[b] * exp_d((double{maxima_[b]} - largest_) * mass_.scale);
    total += weights[b];
  }
  if (!candidate_) {
    wanted_ = top_p_ * total;
  } else if (total < wanted_) {
    token_ = candidate_->token;
    return;
  }
  // What was drawn is not among top_p, so all of top_p comes before it: draw from there.
  weights_ = std::move(weights);
  total_ = total;
  drawable_ = mass_;
  if (total_ > 0) {
    choose_block();
  } else {
    token_ = best_;
  }
}

void RowDraw::choose_block() {
  const double u = uniforms(seed_, place_, attempt_)[0];
  block_ = static_cast<std::int32_t>(passing(weights_, u * total_));
}

void RowDraw::pick(std::span<const float> values) {
  const auto first = static_cast<TokenId>(block_ * kVocabBlock);
  const float maximum = maxima_[static_cast<std::size_t>(block_)];
  std::array<double, kBlock> weights{};
  double total = 0;
  for (std::size_t c = 0; c < kBlock; ++c) {
    const TokenId token = first + static_cast<TokenId>(c);
    const float limit = token < drawable_.split ? drawable_.before : drawable_.behind;
    if (!(values[c] > limit)) continue;
    weights[c] = exp_f32((values[c] - maximum) * mass_.scale);
    total += weights[c];
  }
  const double u = uniforms(seed_, place_, attempt_)[1];
  const std::size_t drawn = passing(weights, u * total);
  const Candidate candidate{values[drawn], first + static_cast<TokenId>(drawn)};
  if (top_p_ >= 1) {
    token_ = candidate.token;
    return;
  }
  candidate_ = candidate;
  ++attempt_;
  mass_.before = std::nextafter(candidate.logit, -kInfinity);
  mass_.behind = candidate.logit;
  mass_.split = candidate.token;
}

}  // namespace weft
