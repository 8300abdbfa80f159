#include "engine/row_draw.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/elementary.h"
#include "ops/draw_inline.h"

namespace weft {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr auto kBlock = static_cast<std::size_t>(kVocabBlock);

/// Two numbers in [0, 1) for one attempt at a draw.
hostdevice::Uniforms uniforms(std::uint64_t seed, DrawPlace place, std::uint64_t attempt) {
  return hostdevice::uniforms(seed, place.position, static_cast<std::uint64_t>(place.choice),
                              attempt);
}

float min_p_limit(double min_p, float largest, float scale) {
  return hostdevice::min_p_limit(log_min_p(min_p), largest, scale);
}

/// A value with at least `count` of the values at or above it, and not many more; the lowest finite
/// one where there are not that many. By their upper 12 bits, counted.
float least_of_largest(std::span<const float> values, std::int64_t count) {
  constexpr std::uint32_t shift = 20;
  std::vector<std::int64_t> counts(std::size_t{1} << (32 - shift), 0);
  for (const float value : values) {
    if (value > -kInfinity) ++counts[hostdevice::ordered_bits(value) >> shift];
  }
  std::int64_t above = 0;
  for (std::size_t i = counts.size(); i-- > 0;) {
    above += counts[i];
    if (above < count) continue;
    const float least = hostdevice::from_ordered_bits(static_cast<std::uint32_t>(i) << shift);
    return least > -kInfinity ? least : std::numeric_limits<float>::lowest();
  }
  return std::numeric_limits<float>::lowest();
}

}  // namespace

std::vector<std::int32_t> best_blocks(std::span<const float> maxima, std::int64_t count) {
  std::vector<std::int32_t> blocks(maxima.size());
  std::iota(blocks.begin(), blocks.end(), 0);
  if (count >= static_cast<std::int64_t>(blocks.size())) return blocks;
  const auto max = [&](std::int32_t a, std::int32_t b) {
    const float x = maxima[static_cast<std::size_t>(a)];
    const float y = maxima[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::nth_element(blocks.begin(), blocks.begin() + count, blocks.end(), max);
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

double log_min_p(double min_p) {
  return min_p > 0 ? log_d(min_p) : -std::numeric_limits<double>::infinity();
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
  for (const Candidate& candidate : candidates) {
    if (!(candidate.logit > limit)) break;
    weights.push_back(exp_d((double{candidate.logit} - first.logit) * scale));
  }
  const double u = uniforms(params.seed, place, 0).u;
  const std::int64_t drawn = hostdevice::draw_weight(
      weights.data(), static_cast<std::int64_t>(weights.size()), params.top_p, u);
  return candidates[static_cast<std::size_t>(drawn)].token;
}

RowDraw::RowDraw(const SamplingParams& params, DrawPlace place, TokenId best, std::int32_t row,
                 std::span<const float> maxima)
    : top_p_(params.top_p), seed_(params.seed), place_(place), best_(best), maxima_(maxima) {
  largest_ = *std::max_element(maxima.begin(), maxima.end());
  weight_sum_.row = row;
  weight_sum_.scale = inverse_temperature(params.temperature);
  if (std::abs(largest_) < kInfinity) {
    weight_sum_.before = weight_sum_.behind =
        min_p_limit(params.min_p, largest_, weight_sum_.scale);
    for (const float maximum : maxima) {
      factors_.push_back(exp_d((double{maximum} - largest_) * weight_sum_.scale));
    }
  } else {
    token_ = best;
  }
}

void RowDraw::weigh(std::span<const float> weight_sums) {
  std::vector<double> weights(weight_sums.size(), 0);
  double total = 0;
  for (std::size_t b = 0; b < weight_sums.size(); ++b) {
    if (!(weight_sums[b] > 0)) continue;
    weights[b] = weight_sums[b] * factors_[b];
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
  drawable_ = weight_sum_;
  if (total_ > 0) {
    choose_block();
  } else {
    token_ = best_;
  }
}

void RowDraw::choose_block() {
  const double u = uniforms(seed_, place_, attempt_).u;
  block_ = static_cast<std::int32_t>(
      hostdevice::passing(weights_.data(), static_cast<std::int64_t>(weights_.size()), u * total_));
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
    weights[c] = exp_f32((values[c] - maximum) * weight_sum_.scale);
    total += weights[c];
  }
  const double v = uniforms(seed_, place_, attempt_).v;
  const auto drawn = static_cast<std::size_t>(
      hostdevice::passing(weights.data(), static_cast<std::int64_t>(kBlock), v * total));
  const Candidate candidate{values[drawn], first + static_cast<TokenId>(drawn)};
  if (top_p_ >= 1) {
    token_ = candidate.token;
    return;
  }
  candidate_ = candidate;
  ++attempt_;
  weight_sum_.before = hostdevice::next_below(candidate.logit);
  weight_sum_.behind = candidate.logit;
  weight_sum_.split = candidate.token;
}

}  // namespace weft
