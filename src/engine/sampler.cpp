#include "engine/sampler.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/elementary.h"
#include "base/philox.h"

namespace weft {
namespace {

/// A token that may be drawn, with its unnormalised probability.
struct Candidate {
  double weight = 0;
  TokenId token = 0;
};

/// Most probable first, lower ids first among equals.
bool before(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
}

/// Weights exp((logit - largest) / temperature); those below min_p are left out.
std::vector<Candidate> candidates_of(std::span<const float> logits, float largest,
                                     const SamplingParams& params) {
  std::vector<Candidate> candidates;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    // NaN fails every comparison and -inf has weight 0: neither is drawn.
    const double weight = exp_d((static_cast<double>(logits[id]) - largest) / params.temperature);
    if (weight > 0 && weight >= params.min_p) {
      candidates.push_back({weight, static_cast<TokenId>(id)});
    }
  }
  return candidates;
}

void keep_top_k(std::vector<Candidate>& candidates, std::int64_t k) {
  if (k <= 0 || k >= static_cast<std::int64_t>(candidates.size())) return;
  std::nth_element(candidates.begin(), candidates.begin() + k, candidates.end(), before);
  candidates.resize(static_cast<std::size_t>(k));
}

double total_weight(const std::vector<Candidate>& candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  return total;
}

/// Expects the candidates sorted by `before`.
void keep_top_p(std::vector<Candidate>& candidates, double p) {
  const double wanted = p * total_weight(candidates);
  double mass = 0;
  std::size_t kept = 0;
  while (kept < candidates.size() && (kept == 0 || mass < wanted))
    mass += candidates[kept++].weight;
  candidates.resize(kept);
}

TokenId draw(const std::vector<Candidate>& candidates, double u) {
  const double target = u * total_weight(candidates);
  double mass = 0;
  for (const Candidate& candidate : candidates) {
    mass += candidate.weight;
    if (target < mass) return candidate.token;
  }
  return candidates.back().token;
}

}  // namespace

TokenId greedy_token(std::span<const float> logits) {
  std::size_t best = 0;
  float largest = -std::numeric_limits<float>::infinity();
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] > largest) {
      largest = logits[id];
      best = id;
    }
  }
  return static_cast<TokenId>(best);
}

TokenId sample_token(std::span<const float> logits, const SamplingParams& params,
                     std::int64_t position, std::int64_t choice) {
  const TokenId best = greedy_token(logits);
  if (params.greedy()) return best;
  std::vector<Candidate> candidates =
      candidates_of(logits, logits[static_cast<std::size_t>(best)], params);
  if (candidates.empty()) return best;
  keep_top_k(candidates, params.top_k);
  if (params.top_k > 0 || params.top_p < 1) {
    std::sort(candidates.begin(), candidates.end(), before);
  }
  if (params.top_p < 1) keep_top_p(candidates, params.top_p);
  const Philox::Block words =
      Philox(params.seed)
          .at(static_cast<std::uint64_t>(position), static_cast<std::uint64_t>(choice));
  return draw(candidates, unit_double(words[0], words[1]));
}

}  // namespace weft
