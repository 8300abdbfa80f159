// What a row of logits yields: edits of logits, log-probabilities, choices as bytes.
#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "engine/logit_edits.h"
#include "ops/make_cpu_ops.h"
#include "support/bad_words.h"
#include "support/row_sampling.h"

namespace weft {
namespace {

using test::sequence_of;
using Logits = std::vector<float>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Ops& ops() {
  static const std::unique_ptr<Ops> one = make_cpu_ops(2);
  return *one;
}

SamplingParams greedy() {
  SamplingParams params;
  params.temperature = 0;
  params.max_tokens = 100;
  return params;
}

/// A sequence that has generated `output` behind `prompt`.
Sequence generated(const std::vector<TokenId>& prompt, const std::vector<TokenId>& output,
                   const SamplingParams& params) {
  Sequence sequence = sequence_of(prompt, params);
  for (const TokenId token : output) sequence.append(token, {}, 1000);
  return sequence;
}

SampledToken sample(const Logits& logits, const Sequence& sequence, std::vector<TokenId> eos = {}) {
  test::RowSampling chooser(static_cast<std::int64_t>(logits.size()), ops(), std::move(eos));
  const LogitRow row{&sequence, static_cast<std::int64_t>(sequence.tokens.size())};
  return chooser.sample(logits, std::span(&row, 1)).front();
}

Logits random_logits(std::size_t vocab, std::uint32_t seed) {
  std::mt19937 random(seed);
  Logits logits(vocab);
  for (float& logit : logits) {
    logit = static_cast<float>(4 * (static_cast<double>(random()) / 0x1p31 - 1));
  }
  return logits;
}

TEST_CASE("penalties change the logits of what occurred", "[chooser]") {
  SamplingParams params = greedy();
  params.repetition_penalty = 2;
  params.frequency_penalty = 0.5;
  params.presence_penalty = 0.25;
  // 1 in the prompt, 2 twice in the output, 3 in both.
  const Sequence sequence = generated({3, 1, 1}, {2, 3, 2}, params);
  const std::vector<LogitEdit> edits = logit_edits(sequence, {}, {});
  REQUIRE(edits.size() == 3);
  const auto changed = [&](std::size_t i, float logit) { return edited(logit, edits[i], params); };
  CHECK(edits[0].token == 1);
  CHECK(changed(0, 6) == 3);
  CHECK(changed(0, -6) == -12);
  CHECK(changed(1, 6) == 3 - 1 - 0.25F);
  CHECK(changed(1, -6) == -12 - 1 - 0.25F);
  CHECK(changed(2, 6) == 3 - 0.5F - 0.25F);
  // By the chooser, among rivals on both sides of the changed logit.
  CHECK(sample({1.7F, 0, 6, 0}, sequence).token == 2);
  CHECK(sample({1.8F, 0, 6, 0}, sequence).token == 0);
  CHECK(sample({1.8F, 0, 6, 6}, sequence).token == 3);
}

TEST_CASE("bias comes before penalties", "[chooser]") {
  SamplingParams params = greedy();
  params.repetition_penalty = 2;
  params.logit_bias = {{1, 3}};
  const Sequence sequence = generated({1}, {}, params);
  const std::vector<LogitEdit> edits = logit_edits(sequence, {}, {});
  REQUIRE(edits.size() == 1);
  CHECK(edited(-1, edits[0], params) == 1);  // (-1 + 3) / 2; the other way it were -2 + 3
  CHECK(edited(-5, edits[0], params) == -4);
}

TEST_CASE("a bias chooses and forbids", "[chooser]") {
  SamplingParams params = greedy();
  params.logit_bias = {{2, 5}, {3, -100}};
  const Sequence sequence = generated({0}, {}, params);
  CHECK(sample({4, 0, 0, 9}, sequence).token == 2);
  CHECK(sample({6, 0, 0, 9}, sequence).token == 0);
}

TEST_CASE("ends cannot come before min_tokens", "[chooser]") {
  SamplingParams params = greedy();
  params.min_tokens = 2;
  params.stop_token_ids = {4};
  const Logits logits = {1, 9, 2, 0, 8};
  CHECK(sample(logits, generated({0}, {}, params), {1}).token == 2);
  CHECK(sample(logits, generated({0}, {2}, params), {1}).token == 2);
  CHECK(sample(logits, generated({0}, {2, 2}, params), {1}).token == 1);
  CHECK(sample(logits, generated({0}, {}, params), {1, 700, -1}).token == 2);
  params.ignore_eos = true;
  CHECK(sample(logits, generated({0}, {}, params), {1}).token == 1);
  // Nothing is left.
  params.ignore_eos = false;
  CHECK(sample({-kInfinity, 9, kNaN, -kInfinity, 8}, generated({0}, {}, params), {1}).token == 0);
}

TEST_CASE("raw logits that are not finite are told, edited ones may be", "[chooser]") {
  for (const SamplingParams& params : test::kinds_of_sampling()) {
    for (const std::size_t vocab : {300U, 1000U}) {
      for (const float odd : {kNaN, kInfinity, -kInfinity}) {
        for (const std::size_t place : {std::size_t{0}, std::size_t{255}, vocab - 1}) {
          Logits logits = random_logits(vocab, 3);
          const Sequence sequence = generated({1, 2}, {7}, params);
          CHECK_FALSE(sample(logits, sequence, {3}).non_finite);
          logits[place] = odd;
          CHECK(sample(logits, sequence, {3}).non_finite);
        }
      }
    }
  }
}

TEST_CASE("bad words are never completed", "[chooser]") {
  SamplingParams params = greedy();
  const auto with = [&](const std::vector<TokenId>& prompt, const std::vector<TokenId>& output,
                        const std::vector<std::vector<TokenId>>& words) {
    Sequence sequence = sequence_of(prompt, params);
    sequence.request.bad_words = test::bad_words(words);
    for (const TokenId token : output) sequence.append(token, {}, 1000);
    return sample({1, 2, 3, 4}, sequence).token;
  };
  CHECK(with({0}, {}, {{3}}) == 2);
  CHECK(with({0}, {}, {{3}, {2}}) == 1);
  CHECK(with({0}, {1}, {{1, 3}}) == 2);
  CHECK(with({0}, {2}, {{1, 3}}) == 3);
  CHECK(with({1}, {}, {{1, 3}}) == 3);  // the prompt's tokens do not begin a word
  CHECK(with({1}, {2}, {{1, 2, 3}}) == 3);
  CHECK(with({0}, {0, 1, 2}, {{1, 2, 3}}) == 2);
  CHECK(with({0}, {1, 2, 0}, {{1, 2, 3}}) == 3);
}

TEST_CASE("only allowed tokens come", "[chooser]") {
  SamplingParams params = greedy();
  params.allowed_token_ids = {1, 300, 301, 511};
  Logits logits = random_logits(600, 3);
  logits[2] = 50;
  logits[300] = logits[301] = 10;
  CHECK(sample(logits, generated({0}, {}, params)).token == 300);
  params.temperature = 1;
  params.logit_bias = {{300, -100}};
  CHECK(sample(logits, generated({0}, {}, params)).token == 301);
  params.logit_bias.clear();
  params.allowed_token_ids = {7, 5};
  logits[5] = logits[7] = -kInfinity;
  CHECK(sample(logits, generated({0}, {}, params)).token == 5);  // nothing may come: the first
  // Two of equal weight, by many draws.
  params.allowed_token_ids = {300, 301};
  int first = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    params.seed = seed;
    const TokenId token = sample(logits, generated({0}, {}, params)).token;
    REQUIRE((token == 300 || token == 301));
    first += token == 300 ? 1 : 0;
  }
  CHECK(std::abs(first - 1000) < 125);  // 5.6 standard deviations: false alarm once in 4e7
  params.top_k = 1;
  CHECK(sample(logits, generated({0}, {}, params)).token == 300);
}

TEST_CASE("penalised draws follow the changed distribution", "[chooser]") {
  SamplingParams params;
  params.frequency_penalty = 1;
  params.max_tokens = 100;
  const Logits logits = {1, 1, 1, 1};
  std::vector<int> counts(4, 0);
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    params.seed = seed;
    ++counts[static_cast<std::size_t>(sample(logits, generated({0}, {1, 2, 2}, params)).token)];
  }
  const double weights[] = {1, std::exp(-1), std::exp(-2), 1};
  const double total = weights[0] + weights[1] + weights[2] + weights[3];
  double statistic = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const double expected = 20000 * weights[i] / total;
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  CHECK(statistic < 30.7);  // three degrees of freedom: false alarm once in 1e6
}

/// Log-softmax, plainly.
std::vector<double> log_softmax(const Logits& logits) {
  double largest = -std::numeric_limits<double>::infinity();
  for (const float x : logits) largest = x > largest ? double{x} : largest;
  double sum = 0;
  for (const float x : logits) sum += x > -kInfinity ? std::exp(x - largest) : 0;
  std::vector<double> all;
  for (const float x : logits) all.push_back(x - largest - std::log(sum));
  return all;
}

TEST_CASE("log-probabilities are those of the raw logits", "[chooser][logprobs]") {
  for (const std::size_t vocab : {1U, 3U, 255U, 256U, 257U, 1000U, 5000U}) {
    for (const std::uint32_t seed : {1U, 2U, 3U}) {
      CAPTURE(vocab, seed);
      Logits logits = random_logits(vocab, seed);
      if (seed == 2) {
        for (float& x : logits) x = std::floor(x);  // ties
      }
      if (seed == 3 && vocab > 2) {
        logits[1] = kNaN;
        logits[2] = -kInfinity;
      }
      SamplingParams params;
      params.seed = seed;
      params.temperature = 0.3;  // none of these shows in log-probabilities
      params.top_k = 2;
      params.repetition_penalty = 3;
      params.logit_bias = {{0, 50}};
      params.logprobs = 20;
      const SampledToken choice = sample(logits, generated({0}, {}, params));
      const std::vector<double> exact = log_softmax(logits);
      REQUIRE(choice.logprobs.has_value());
      const double chosen = exact[static_cast<std::size_t>(choice.token)];
      CHECK(std::abs(choice.logprobs->logprob - chosen) < 1e-5);
      std::vector<TokenId> order;
      for (std::size_t id = 0; id < vocab; ++id) {
        if (logits[id] > -kInfinity) order.push_back(static_cast<TokenId>(id));
      }
      std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
        return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
      });
      REQUIRE(choice.logprobs->top.size() == std::min<std::size_t>(20, order.size()));
      for (std::size_t i = 0; i < choice.logprobs->top.size(); ++i) {
        CHECK(choice.logprobs->top[i].token == order[i]);
        const double expected = exact[static_cast<std::size_t>(order[i])];
        CHECK(std::abs(choice.logprobs->top[i].logprob - expected) < 1e-5);
      }
    }
  }
}

TEST_CASE("known tokens are scored, and impossible ones have a number", "[chooser][logprobs]") {
  Logits logits = random_logits(300, 5);
  logits[7] = -kInfinity;
  SamplingParams params = greedy();
  params.logprobs = 1;
  const Sequence sequence = sequence_of({9, 7, 280}, params);
  std::vector<LogitRow> rows = {{&sequence, 1}, {&sequence, 2}, {&sequence, 3}};
  Logits all;
  for (int i = 0; i < 3; ++i) all.insert(all.end(), logits.begin(), logits.end());
  test::RowSampling chooser(300, ops());
  const std::vector<SampledToken> choices = chooser.sample(all, rows);
  const std::vector<double> exact = log_softmax(logits);
  CHECK(choices[0].token == 7);
  CHECK(choices[0].logprobs->logprob == -9999);
  CHECK(choices[1].token == 280);
  CHECK(std::abs(choices[1].logprobs->logprob - exact[280]) < 1e-5);
  CHECK(choices[2].token == choices[0].logprobs->top[0].token);
  CHECK(choices[2].logprobs->logprob == choices[0].logprobs->top[0].logprob);
}

TEST_CASE("a row's yield does not depend on its neighbours", "[chooser]") {
  std::vector<Sequence> sequences;
  Logits all;
  for (int i = 0; i < 40; ++i) {
    SamplingParams params;
    params.max_tokens = 100;
    params.seed = static_cast<std::uint64_t>(i);
    params.temperature = i % 5 == 0 ? 0 : 0.8;
    if (i % 3 == 0) params.top_p = 0.7;
    if (i % 4 == 0) params.top_k = 5;
    if (i % 7 == 0) params.logprobs = i % 3;
    if (i % 6 == 0) params.presence_penalty = 1;
    if (i % 9 == 0) params.allowed_token_ids = {3, 500, 620};
    if (i % 8 == 0) params.min_p = 0.1;
    sequences.push_back(generated({1, 2}, {3, 3, 600}, params));
    const Logits logits = random_logits(700, static_cast<std::uint32_t>(i));
    all.insert(all.end(), logits.begin(), logits.end());
  }
  std::vector<LogitRow> rows;
  for (const Sequence& sequence : sequences) rows.push_back({&sequence, 5});
  test::RowSampling chooser(700, ops());
  const std::vector<SampledToken> together = chooser.sample(all, rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    const std::span<const float> own = std::span(all).subspan(i * 700, 700);
    CHECK(chooser.sample(own, std::span(rows).subspan(i, 1)).front() == together[i]);
  }
}

TEST_CASE("choices as bytes", "[chooser]") {
  SampledToken plain{.token = 7, .row_digest = {3, 4}, .logprobs = std::nullopt};
  SampledToken scored = plain;
  scored.logprobs = PositionLogprobs{-1.5F, {{3, -0.5F}, {9, -2.25F}}};
  SampledToken bare = plain;
  bare.logprobs = PositionLogprobs{-0.25F, {}};
  std::string bytes;
  for (const SampledToken& choice : {plain, scored, bare}) choice.append_to(bytes);
  std::string_view rest(bytes);
  CHECK(SampledToken::read_from(rest) == plain);
  CHECK(SampledToken::read_from(rest) == scored);
  CHECK(SampledToken::read_from(rest) == bare);
  CHECK(rest.empty());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    std::string_view torn = std::string_view(bytes).substr(0, length);
    CHECK_THROWS_AS((SampledToken::read_from(torn), SampledToken::read_from(torn),
                     SampledToken::read_from(torn)),
                    Error);
  }
}

}  // namespace
}  // namespace weft
