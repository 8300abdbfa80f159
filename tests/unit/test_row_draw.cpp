// Choosing tokens: the rules one by one, and the distribution against a reference implementation.
#include "engine/row_draw.h"
#include "engine/sequence.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "base/philox.h"
#include "catch.h"
#include "ops/make_cpu_ops.h"
#include "support/row_sampling.h"

namespace weft {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
using Logits = std::vector<float>;

SamplingParams sampling(double temperature, std::int64_t top_k = 0, double top_p = 1,
                        double min_p = 0) {
  SamplingParams params;
  params.temperature = temperature;
  params.top_k = top_k;
  params.top_p = top_p;
  params.min_p = min_p;
  params.seed = 0x5eed;
  return params;
}

Logits random_logits(std::size_t vocab, std::uint32_t seed, double scale = 2) {
  std::mt19937 random(seed);
  Logits logits(vocab);
  for (float& logit : logits) {
    logit = static_cast<float>(scale * (static_cast<double>(random()) / 0x1p31 - 1));
  }
  return logits;
}

Ops& ops() {
  static const std::unique_ptr<Ops> one = make_cpu_ops(1);
  return *one;
}

/// The tokens of many positions that have the same logits.
std::vector<TokenId> sample_tokens(const Logits& logits, const SamplingParams& params,
                                   std::int64_t first_position, std::int64_t count,
                                   std::int64_t choice) {
  test::RowSampling chooser(static_cast<std::int64_t>(logits.size()), ops());
  const Sequence sequence = test::sequence_of({}, params, choice);
  std::vector<TokenId> tokens;
  for (std::int64_t done = 0; done < count; done += test::kSamplerRows) {
    const std::int64_t n = std::min(test::kSamplerRows, count - done);
    std::vector<LogitRow> rows;
    Logits all;
    for (std::int64_t i = 0; i < n; ++i) {
      rows.push_back({&sequence, first_position + done + i});
      all.insert(all.end(), logits.begin(), logits.end());
    }
    for (const SampledToken& one : chooser.sample(all, rows)) tokens.push_back(one.token);
  }
  return tokens;
}

TokenId sample_token(const Logits& logits, const SamplingParams& params, std::int64_t position,
                     std::int64_t choice) {
  return sample_tokens(logits, params, position, 1, choice).front();
}

TEST_CASE("greedy takes the largest, the lowest id among equals, NaN last", "[sampler]") {
  struct Case {
    Logits logits;
    TokenId token;
  };
  for (const Case& c : std::vector<Case>{
           {{5}, 0},
           {{1, 3, 2}, 1},
           {{1, 3, 3}, 1},
           {{3, 3, 3}, 0},
           {{-0.0F, 0.0F}, 0},
           {{kNaN, 1, 2}, 2},
           {{2, kNaN, 1}, 0},
           {{1, kNaN, 2}, 2},
           {{kNaN, -kInfinity}, 0},
           {{kNaN, kNaN, -5, kNaN}, 2},
           {{kNaN, kNaN}, 0},
           {{-kInfinity, -kInfinity}, 0},
           {{1, kInfinity, kInfinity}, 1},
       }) {
    CAPTURE(c.logits);
    CHECK(sample_token(c.logits, sampling(0), 3, 0) == c.token);
    CHECK(sample_token(c.logits, sampling(1, 1), 3, 0) == c.token);
  }
}

/// The documented distribution, written plainly.
std::vector<double> distribution(const Logits& logits, const SamplingParams& params) {
  double largest = -std::numeric_limits<double>::infinity();
  for (const float logit : logits) {
    if (!std::isnan(logit)) largest = std::max(largest, double{logit});
  }
  std::vector<double> p;
  for (const float logit : logits) {
    p.push_back(std::isnan(logit) ? 0 : std::exp((logit - largest) / params.temperature));
  }
  const auto normalise = [&] {
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& x : p) x /= total;
  };
  normalise();
  const double most = *std::max_element(p.begin(), p.end());
  for (double& x : p) {
    if (x < params.min_p * most) x = 0;
  }
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p[a] > p[b]; });
  if (params.top_k > 0) {
    for (auto i = static_cast<std::size_t>(params.top_k); i < order.size(); ++i) p[order[i]] = 0;
  }
  normalise();
  double weight_sum = 0;
  for (const std::size_t token : order) {
    if (weight_sum >= params.top_p) p[token] = 0;
    weight_sum += p[token];
  }
  normalise();
  return p;
}

/// Quantile 1 - 1e-6 of chi-square, by Wilson and Hilferty's approximation.
double chi_square_limit(double freedom) {
  const double c = 2 / (9 * freedom);
  return freedom * std::pow(1 - c + 4.7534 * std::sqrt(c), 3);
}

/// How far `counts` are from `p`, as a multiple of what chance allows: above 1, they do not fit.
double misfit(const std::vector<std::int64_t>& counts, const std::vector<double>& p) {
  const auto draws =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  double statistic = 0;
  double cells = 0;
  double rare_seen = 0;
  double rare_expected = 0;
  const auto add = [&](double seen, double expected) {
    statistic += (seen - expected) * (seen - expected) / expected;
    ++cells;
  };
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double expected = draws * p[i];
    const auto seen = static_cast<double>(counts[i]);
    if (p[i] == 0 && seen > 0) return kInfinity;
    if (expected >= 10) {
      add(seen, expected);
    } else {
      rare_seen += seen;
      rare_expected += expected;
    }
  }
  if (rare_expected >= 1) add(rare_seen, rare_expected);
  return cells < 2 ? 0 : statistic / chi_square_limit(cells - 1);
}

std::vector<std::int64_t> counts_of(const Logits& logits, const SamplingParams& params,
                                    std::int64_t draws) {
  std::vector<std::int64_t> counts(logits.size(), 0);
  for (const TokenId token : sample_tokens(logits, params, 1, draws, 0)) {
    ++counts[static_cast<std::size_t>(token)];
  }
  return counts;
}

constexpr std::int64_t kDraws = 200'000;

TEST_CASE("draws follow the documented distribution", "[sampler]") {
  struct Case {
    const char* what;
    SamplingParams params;
  };
  const Logits logits = random_logits(24, 5);
  for (const Case& c : std::vector<Case>{
           {"plain", sampling(1)},
           {"top_k", sampling(1, 7)},
           {"top_k beyond the vocabulary", sampling(1, 100)},
           {"top_p", sampling(1, 0, 0.8)},
           {"a small top_p", sampling(1, 0, 0.01)},
           {"min_p", sampling(1, 0, 1, 0.2)},
           {"min_p 1", sampling(1, 0, 1, 1)},
           {"all together", sampling(0.9, 12, 0.9, 0.05)},
           {"cold", sampling(0.3)},
           {"hot", sampling(5)},
           {"hot, with top_p", sampling(5, 20, 0.5)},
       }) {
    CAPTURE(c.what);
    CHECK(misfit(counts_of(logits, c.params, kDraws), distribution(logits, c.params)) < 1);
  }
}

TEST_CASE("draws over several blocks follow the distribution", "[sampler]") {
  const Logits logits = random_logits(600, 9, 3);
  for (const SamplingParams& params : {sampling(1), sampling(1, 0, 0.9), sampling(1.5, 0, 0.3),
                                       sampling(1, 300, 0.95, 0.01), sampling(3, 0, 0.6, 0.2)}) {
    CAPTURE(params.temperature, params.top_k, params.top_p, params.min_p);
    CHECK(misfit(counts_of(logits, params, kDraws), distribution(logits, params)) < 1);
  }
}

TEST_CASE("the test of the distribution sees small errors", "[sampler]") {
  const Logits logits = random_logits(24, 5);
  const std::vector<std::int64_t> counts = counts_of(logits, sampling(1), kDraws);
  CHECK(misfit(counts, distribution(logits, sampling(1.03))) > 1);
  CHECK(misfit(counts, distribution(logits, sampling(1, 23))) > 1);
  CHECK(misfit(counts, distribution(logits, sampling(1, 0, 0.99))) > 1);
  Logits shifted = logits;
  shifted[3] += 0.1F;
  CHECK(misfit(counts, distribution(shifted, sampling(1))) > 1);
}

/// The documented algorithm, plainly: double precision, sorting, whole rows. It tells when a
/// decision was too near to call.
class Reference {
 public:
  Reference(const Logits& logits, const SamplingParams& params) : logits_(logits), params_(params) {
    for (std::size_t id = 0; id < logits.size(); ++id) {
      if (logits[id] > -kInfinity) order_.push_back(id);
    }
    std::stable_sort(order_.begin(), order_.end(),
                     [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
    const double least = std::log(params.min_p) * params.temperature;
    std::size_t kept = 0;
    for (; kept < order_.size(); ++kept) {
      const double distance = double{logits[order_[kept]]} - logits[order_[0]] - least;
      if (params.min_p > 0) near(distance);
      if (params.min_p > 0 && distance < 0) break;
    }
    order_.resize(kept);
    for (const std::size_t id : order_) weight_.push_back(weight(id));
  }

  TokenId token(std::int64_t position, std::int64_t choice) {
    const bool few = params_.top_k > 0 && params_.top_k < static_cast<std::int64_t>(logits_.size());
    return static_cast<TokenId>(few ? first_few(position, choice) : by_block(position, choice));
  }
  [[nodiscard]] bool unsure() const { return unsure_; }

 private:
  double weight(std::size_t id) const {
    return std::exp((double{logits_[id]} - logits_[order_[0]]) / params_.temperature);
  }
  void near(double distance) { unsure_ = unsure_ || std::abs(distance) < 1e-5; }

  /// Index of the first weight at which the sum passes u of the whole.
  std::size_t passing(const std::vector<double>& weights, double u) {
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    double sum = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] == 0) continue;
      sum += weights[i];
      near(sum / total - u);
      if (u < sum / total) return i;
    }
    unsure_ = true;
    return 0;
  }

  std::array<double, 2> uniforms(std::int64_t position, std::int64_t choice, std::uint64_t n) {
    const Philox::Block words =
        Philox(draw_key(params_.seed, {}))
            .at(static_cast<std::uint64_t>(position), static_cast<std::uint64_t>(choice) | n << 32);
    return {unit_double(words[0], words[1]), unit_double(words[2], words[3])};
  }

  std::size_t first_few(std::int64_t position, std::int64_t choice) {
    std::vector<double> w = weight_;
    if (static_cast<std::int64_t>(w.size()) > params_.top_k) {
      w.resize(static_cast<std::size_t>(params_.top_k));
    }
    if (params_.top_p < 1) {
      const double total = std::accumulate(w.begin(), w.end(), 0.0);
      double sum = 0;
      std::size_t kept = 0;
      while (kept < w.size() && (kept == 0 || sum / total < params_.top_p)) {
        sum += w[kept++];
        near(sum / total - params_.top_p);
      }
      w.resize(kept);
    }
    return order_[passing(w, uniforms(position, choice, 0)[0])];
  }

  std::size_t by_block(std::int64_t position, std::int64_t choice) {
    const double wanted = params_.top_p * std::accumulate(weight_.begin(), weight_.end(), 0.0);
    std::size_t open = order_.size();  // tokens that may be drawn, in order
    for (std::uint64_t attempt = 0;; ++attempt) {
      const auto [u, v] = uniforms(position, choice, attempt);
      std::vector<double> by_token(logits_.size(), 0);
      for (std::size_t i = 0; i < open; ++i) by_token[order_[i]] = weight_[i];
      std::vector<double> blocks((logits_.size() + 255) / 256, 0);
      for (std::size_t id = 0; id < by_token.size(); ++id) blocks[id / 256] += by_token[id];
      const std::size_t first = passing(blocks, u) * 256;
      const std::size_t end = std::min(first + 256, by_token.size());
      const std::vector<double> inside(by_token.begin() + static_cast<std::ptrdiff_t>(first),
                                       by_token.begin() + static_cast<std::ptrdiff_t>(end));
      const std::size_t drawn = first + passing(inside, v);
      if (params_.top_p >= 1) return drawn;
      double before = 0;
      std::size_t place = 0;
      while (order_[place] != drawn) before += weight_[place++];
      near((before - wanted) / wanted);
      if (before < wanted) return drawn;
      open = place;
    }
  }

  const Logits& logits_;
  SamplingParams params_;
  std::vector<std::size_t> order_;
  std::vector<double> weight_;
  bool unsure_ = false;
};

TEST_CASE("draws are those of the reference", "[sampler]") {
  std::mt19937 random(6);
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint32_t>(n));
  };
  const auto percent = [&](std::int64_t n) { return static_cast<double>(below(n)) / 100; };
  int told = 0;
  int ties = 0;
  for (int trial = 0; trial < 4000; ++trial) {
    const std::int64_t sizes[] = {1, 2, 17, 40, 255, 256, 257, 300, 512, 700, 1500};
    const auto vocab = static_cast<std::size_t>(sizes[below(11)]);
    Logits logits = random_logits(vocab, static_cast<std::uint32_t>(trial), 4);
    const bool tied = below(4) == 0;
    for (float& logit : logits) {
      if (tied) logit = std::floor(logit);
      if (below(50) == 0) logit = below(2) == 0 ? -kInfinity : kNaN;
    }
    if (!(logits[0] > -kInfinity)) logits[0] = 0.25F;
    SamplingParams params = sampling(0.2 + percent(200));
    if (below(3) == 0) params.top_k = below(700);
    if (below(2) == 0) params.top_p = 0.02 + percent(97);
    if (below(3) == 0) params.min_p = percent(50);
    params.seed = static_cast<std::uint64_t>(trial) << 33 | 7;
    const std::int64_t position = (below(3) << 32) + below(100'000);
    const std::int64_t choice = below(5);
    Reference reference(logits, params);
    const TokenId expected = reference.token(position, choice);
    if (reference.unsure()) continue;
    ++told;
    ties += tied ? 1 : 0;
    CAPTURE(trial, vocab, params.temperature, params.top_k, params.top_p, params.min_p);
    REQUIRE(sample_token(logits, params, position, choice) == expected);
  }
  CHECK(told > 3500);
  CHECK(ties > 500);
}

/// Joint counts of the tokens that two kinds of draw give at the same step, over 4 equal tokens.
template <class First, class Second>
double dependence(First first, Second second) {
  std::vector<std::int64_t> counts(16, 0);
  for (std::int64_t step = 0; step < 50'000; ++step) {
    ++counts[static_cast<std::size_t>(4 * first(step) + second(step))];
  }
  return misfit(counts, std::vector<double>(16, 1.0 / 16));
}

TEST_CASE("draws of other seeds, positions and choices are independent", "[sampler]") {
  const Logits equal(4, 1.0F);
  test::RowSampling chooser(4, ops());
  const auto draw = [&](std::uint64_t seed, std::int64_t position, std::int64_t choice) {
    SamplingParams params = sampling(1);
    params.seed = seed;
    const Sequence sequence = test::sequence_of({}, params, choice);
    const LogitRow row{&sequence, position};
    return chooser.sample(equal, std::span(&row, 1)).front().token;
  };
  const auto base = [&](std::int64_t step) { return draw(1, step, 0); };
  const auto seed_of = [](std::int64_t step) { return static_cast<std::uint64_t>(step); };
  CHECK(dependence(base, base) > 1);  // it does see dependence
  CHECK(dependence(base, [&](std::int64_t step) { return draw(1, step + 1, 0); }) < 1);
  CHECK(dependence(base, [&](std::int64_t step) { return draw(2, step, 0); }) < 1);
  CHECK(dependence(base, [&](std::int64_t step) { return draw(1ULL << 32 | 1, step, 0); }) < 1);
  CHECK(dependence(base, [&](std::int64_t step) { return draw(1, step, 1); }) < 1);
  CHECK(dependence(base, [&](std::int64_t step) { return draw(1, step + (1LL << 32), 0); }) < 1);
  // Neighbouring seeds and choices at one position, as a job's requests have them.
  CHECK(dependence([&](std::int64_t step) { return draw(seed_of(step), 9, 0); },
                   [&](std::int64_t step) { return draw(seed_of(step) + 1, 9, 0); }) < 1);
  CHECK(dependence([&](std::int64_t step) { return draw(1, 9, step); },
                   [&](std::int64_t step) { return draw(1, 9, step + 1); }) < 1);
}

TEST_CASE("what has no probability is never drawn", "[sampler]") {
  Logits logits = random_logits(16, 7, 0.5);
  for (const std::size_t token : {0U, 5U, 15U}) logits[token] = -kInfinity;
  for (const std::size_t token : {1U, 6U, 14U}) logits[token] = kNaN;
  for (const SamplingParams& params : {sampling(1), sampling(1e6), sampling(1, 14),
                                       sampling(1, 0, 0.999), sampling(2, 0, 1, 0.01)}) {
    CAPTURE(params.temperature, params.top_k, params.top_p, params.min_p);
    const std::vector<std::int64_t> counts = counts_of(logits, params, 50'000);
    CHECK(misfit(counts, distribution(logits, params)) < 1);
    for (const std::size_t token : {0U, 1U, 5U, 6U, 14U, 15U}) CHECK(counts[token] == 0);
  }
  // Nothing that could be drawn: greedy's answer.
  CHECK(sample_token(Logits{kNaN, -kInfinity, kNaN}, sampling(1), 0, 0) == 0);
  CHECK(sample_token(Logits{kNaN, kNaN}, sampling(1), 0, 0) == 0);
  CHECK(sample_token(Logits{1, kInfinity, 2}, sampling(1), 0, 0) == 1);
}

TEST_CASE("equal logits", "[sampler]") {
  const Logits logits(10, -3.5F);
  const std::vector<double> uniform(10, 0.1);
  for (const double temperature : {1e-6, 0.5, 1.0, 1e6}) {
    CHECK(misfit(counts_of(logits, sampling(temperature), 50'000), uniform) < 1);
    CHECK(misfit(counts_of(logits, sampling(temperature, 0, 1, 1), 50'000), uniform) < 1);
  }
  // The filters prefer lower ids.
  const std::vector<std::int64_t> top_k = counts_of(logits, sampling(1, 3), 3000);
  CHECK(top_k[0] + top_k[1] + top_k[2] == 3000);
  const std::vector<std::int64_t> top_p = counts_of(logits, sampling(1, 0, 0.35), 3000);
  CHECK(top_p[0] + top_p[1] + top_p[2] + top_p[3] == 3000);
  CHECK(std::count(top_p.begin(), top_p.end(), 0) == 6);
}

TEST_CASE("extreme temperatures and sizes", "[sampler]") {
  const Logits logits = {1000, -1000, 999.999F, 0, 1000.5F, std::numeric_limits<float>::lowest()};
  for (const double temperature : {1e-6, std::numeric_limits<double>::denorm_min()}) {
    CHECK(sample_tokens(logits, sampling(temperature), 0, 2000, 0) ==
          std::vector<TokenId>(2000, 4));
  }
  CHECK(sample_tokens(Logits{-7}, sampling(1, 5, 0.5, 0.5), 0, 2000, 0) ==
        std::vector<TokenId>(2000, 0));
  const Logits spread = random_logits(12, 8, 50);
  CHECK(misfit(counts_of(spread, sampling(1e6), 50'000), std::vector<double>(12, 1.0 / 12)) < 1);
  const Logits tie = {1, 2, 2, 0};
  CHECK(misfit(counts_of(tie, sampling(1e-6), 20'000), {0, 0.5, 0.5, 0}) < 1);
}

}  // namespace
}  // namespace weft
