#include "async_run.h"

#include <algorithm>

#include "catch.h"
#include "engine/logit_edits.h"
#include "support/bad_words.h"
#include "support/pieces.h"
#include "support/row_sampling.h"

namespace weft::test {
namespace {

/// Token i is one of four letters: texts of two come soon.
Pieces letters() {
  std::vector<std::string> pieces;
  for (std::int64_t i = 0; i < kAheadVocab; ++i) pieces.emplace_back(1, "abcd"[i % 4]);
  return Pieces(pieces);
}

}  // namespace

std::string text_of(const Completion& completion) {
  std::string text;
  const auto add = [&](const auto& value) { text += std::to_string(value) + " "; };
  const auto add_logprobs = [&](const std::vector<PositionLogprobs>& all) {
    for (const PositionLogprobs& one : all) {
      add(one.logprob);
      for (const TokenLogprob& top : one.top)
        text += std::to_string(top.token) + "=" + std::to_string(top.logprob) + " ";
    }
  };
  add(completion.index);
  add(completion.choice);
  text += std::string(name(completion.reason)) + ": ";
  for (const TokenId token : completion.tokens) add(token);
  text += "| ";
  add(completion.text_bytes);
  add(completion.prompt_tokens);
  add(completion.completion_tokens);
  add_logprobs(completion.logprobs);
  text += "| ";
  add_logprobs(completion.prompt_logprobs);
  return text + completion.logits_digest.hex();
}

nlohmann::json ahead_config(const std::string& family) {
  nlohmann::json config = tiny_config(family);
  config["vocab_size"] = kAheadVocab;
  config["eos_token_id"] = {1, 17, 33, 49, 65, 81, 97, 113, 129, 145, 161, 177, 193, 209, 225, 241};
  return config;
}

AheadOutcome run_job(const SyntheticModel& model, const std::vector<Request>& requests,
                     ReplicaOptions options, bool ahead, const GpuOptions& gpu, Group& group) {
  const auto ops = testing::make_device(gpu);
  const auto staged = make_staged_group(group.split(0), *ops);
  const Pieces tokenizer = letters();
  options.borrowed_ops = ops.get();
  options.async_scheduling = ahead;
  options.tokenizer = &tokenizer;
  Replica replica(model.path(), options, *staged);
  AheadOutcome outcome;
  for (const Completion& completion : replica.complete(requests, &outcome.stats)) {
    outcome.completions.push_back(text_of(completion));
  }
  outcome.recorder = replica.model().decoder().recorder_counts();
  return outcome;
}

ReplicaOptions without_digests() {
  ReplicaOptions options;
  options.digest = false;
  return options;
}

AheadOutcome check_ahead(const SyntheticModel& model, const std::vector<Request>& requests,
                         const ReplicaOptions& options, const GpuOptions& gpu) {
  const auto alone = make_self_group();
  const AheadOutcome expected = run_job(model, requests, options, false, gpu, *alone);
  AheadOutcome is = run_job(model, requests, options, true, gpu, *alone);
  CHECK(is.completions == expected.completions);
  CHECK(expected.stats.async_steps == 0);
  CHECK(expected.stats.dropped_rows == 0);
  if (is.stats.preemptions == 0 && expected.stats.preemptions == 0) {
    CHECK(is.stats.decode_tokens == expected.stats.decode_tokens);
    CHECK(is.stats.prefill_tokens == expected.stats.prefill_tokens);
  }
  return is;
}

std::int64_t stopped(const AheadOutcome& outcome) {
  return std::count_if(
      outcome.completions.begin(), outcome.completions.end(),
      [](const std::string& text) { return text.find("stop") != std::string::npos; });
}

std::vector<Request> plain_requests(std::int64_t count) {
  std::vector<Request> requests = varied_requests(count, kAheadVocab, 11, 16, 10);
  for (Request& request : requests) request.sampling.max_tokens += 4;
  return requests;
}

std::vector<Request> mixed_requests() {
  std::vector<SamplingParams> kinds = kinds_of_sampling();
  std::vector<Request> requests = plain_requests(28);
  for (Request& request : requests) {
    const auto i = static_cast<std::size_t>(request.index);
    SamplingParams params = kinds[i % kinds.size()];
    params.seed = request.sampling.seed;
    params.max_tokens = request.sampling.max_tokens;
    params.min_tokens = std::min(params.min_tokens, params.max_tokens / 2);
    if (i % 3 == 1) params.stop = {"ab", "dd"};
    if (i % 7 == 2) params.stop_token_ids = {4, 40, 140, 240};
    if (i % 5 == 4) params.ignore_eos = true;
    if (i % 8 == 7) params.min_tokens = 5;
    if (i % 13 == 12) params.max_tokens = 0;
    request.sampling = params;
    if (i % 9 == 8) {
      request.echo = true;
      request.sampling.logprobs = 3;
    }
    if (i % 11 == 10) request.bad_words = bad_words({{2}, {3}});
    if (i % 11 == 9) request.bad_words = bad_words({{2, 3}, {5}});
    // Those that hold back all others' steps end soon.
    if (edits_follow_tokens(request)) request.sampling.max_tokens = 2;
    request.choice = static_cast<std::int64_t>(i % 3);
  }
  return requests;
}

}  // namespace weft::test
