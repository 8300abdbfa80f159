// Steps that are launched before the tokens of the one before are known: the same completions, to
// the bit. In the emulation the host does not get what the device chose before it has waited, and
// cannot touch the device's memory.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "catch.h"
#include "compare.h"
#include "engine/logit_edits.h"
#include "staged_run.h"
#include "support/moe_configs.h"
#include "support/pieces.h"
#include "support/row_chooser.h"

namespace weft::test {
namespace {

constexpr std::int64_t kVocab = 300;

nlohmann::json config_of(const std::string& family) {
  nlohmann::json config = tiny_config(family);
  config["vocab_size"] = kVocab;
  // So many that sequences end in the middle.
  config["eos_token_id"] = {1, 17, 33, 49, 65, 81, 97, 113, 129, 145, 161, 177, 193, 209, 225, 241};
  return config;
}

/// Token i is one of four letters: texts of two come soon.
Pieces letters() {
  std::vector<std::string> pieces;
  for (std::int64_t i = 0; i < kVocab; ++i) pieces.emplace_back(1, "abcd"[i % 4]);
  return Pieces(pieces);
}

/// What can be seen of a completion but for its times.
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

struct Outcome {
  std::vector<std::string> completions;
  EngineStats stats;
  RecorderCounts recorder;
};

Outcome run(const SyntheticModel& model, const std::vector<Request>& requests,
            ReplicaOptions options, bool ahead, const GpuOptions& gpu = testing::options_of(1)) {
  const auto alone = make_self_group();
  const auto ops = testing::make_subject(gpu);
  const Pieces tokenizer = letters();
  options.borrowed_ops = ops.get();
  options.run_ahead = ahead;
  options.tokenizer = &tokenizer;
  Replica replica(model.path(), options, *alone);
  Outcome outcome;
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

/// The same completions and rows, of which none that is dropped counts.
Outcome check_same(const SyntheticModel& model, const std::vector<Request>& requests,
                   const ReplicaOptions& options, const GpuOptions& gpu = testing::options_of(1)) {
  const Outcome expected = run(model, requests, options, false, gpu);
  Outcome is = run(model, requests, options, true, gpu);
  CHECK(is.completions == expected.completions);
  CHECK(expected.stats.ahead_steps == 0);
  CHECK(expected.stats.dropped_rows == 0);
  if (is.stats.preemptions == 0 && expected.stats.preemptions == 0) {
    CHECK(is.stats.decode_tokens == expected.stats.decode_tokens);
    CHECK(is.stats.prefill_tokens == expected.stats.prefill_tokens);
  }
  return is;
}

std::int64_t stopped(const Outcome& outcome) {
  return std::count_if(
      outcome.completions.begin(), outcome.completions.end(),
      [](const std::string& text) { return text.find("stop") != std::string::npos; });
}

/// Short prompts and completions of up to 14 tokens; every other one is sampled.
std::vector<Request> plain_requests(std::int64_t count) {
  std::vector<Request> requests = varied_requests(count, kVocab, 11, 16, 10);
  for (Request& request : requests) request.sampling.max_tokens += 4;
  return requests;
}

/// Every kind of sampling, stop strings and ids, ends that may not come yet, scored prompts, empty
/// completions, bad words of one and of two tokens.
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
    if (i % 11 == 10) request.bad_words = {{2}, {3}};
    if (i % 11 == 9) request.bad_words = {{2, 3}, {5}};
    // Those that hold back all others' steps end soon.
    if (edits_follow_tokens(request)) request.sampling.max_tokens = 2;
    request.choice = static_cast<std::int64_t>(i % 3);
  }
  return requests;
}

}  // namespace

TEST_CASE("answers of several queries are on their way", "[cuda][sampling][ahead]") {
  const auto ops = testing::make_subject(1);
  RowSampler& sampler = *ops->sampler();
  constexpr std::int64_t kRows = 3;
  constexpr std::int64_t kColumns = 40;
  const Buffer room(ops->memory(), ops->sampling_bytes(kRows, kColumns));
  const Buffer logits_buffer(ops->memory(), kRows * kColumns * sizeof(float));
  const Buffer kept_buffer(ops->memory(), 5 * sizeof(TokenId));
  const Buffer rows_buffer(ops->memory(), 6 * sizeof(TokenId));
  const Tensor logits = logits_buffer.tensor(DType::f32, {kRows, kColumns});
  const Tensor kept = kept_buffer.tensor(DType::i32, {5});
  const Tensor rows = rows_buffer.tensor(DType::i32, {6});
  // Row i of query q has its largest logit at 10 * q + i.
  const auto start = [&](int q, const std::vector<std::int32_t>& keep, std::size_t width) {
    std::vector<float> values(kRows * kColumns, 0.0F);
    for (int i = 0; i < kRows; ++i) {
      values[static_cast<std::size_t>(i * kColumns + 10 * q + i)] = 1;
    }
    ops->upload(std::as_bytes(std::span(values)), logits);
    OwnedRowQuery query;
    for (int i = 0; i < kRows; ++i) {
      RowAsked asked;
      asked.row = i;
      asked.keep = keep[static_cast<std::size_t>(i)];
      asked.top = static_cast<std::int32_t>(width);
      query.add(asked, {}, {});
    }
    return sampler.start(logits, query.view(), width, {room.data(), room.bytes()}, kept);
  };
  const auto tokens = [&](SamplingTicket ticket, std::size_t width) {
    std::vector<RowChoice> choices(kRows);
    std::vector<ScoredToken> top(kRows * width);
    sampler.finish(ticket, choices, top);
    std::vector<TokenId> found;
    for (const RowChoice& choice : choices) found.push_back(choice.token);
    for (const ScoredToken& one : top) found.push_back(one.token);
    return found;
  };
  using Tokens = std::vector<TokenId>;
  const SamplingTicket first = start(0, {4, -1, 2}, 0);
  const SamplingTicket second = start(1, {-1, 0, -1}, 1);
  const SamplingTicket third = start(2, {1, -1, -1}, 0);
  const Tokens asked = {kept_token(4), 39, kept_token(0), kept_token(2), 0, kept_token(1)};
  ops->upload(std::as_bytes(std::span(asked)), rows);
  sampler.put_kept(kept, rows);
  CHECK(tokens(second, 1) == Tokens{10, 11, 12, 10, 11, 12});
  CHECK(tokens(first, 0) == Tokens{0, 1, 2});
  CHECK_THROWS_AS(tokens(first, 0), Error);
  CHECK_THROWS_AS(tokens(third, 1), Error);
  CHECK(tokens(third, 0) == Tokens{20, 21, 22});
  Tokens put(asked.size());
  ops->download(rows, std::as_writable_bytes(std::span(put)));
  CHECK(put == Tokens{0, 39, 11, 2, 0, 20});
  CHECK_THROWS_AS(start(0, {5, -1, -1}, 0), Error);
}

TEST_CASE("steps that run ahead change no bit", "[cuda][ahead]") {
  for (const DType dtype : {DType::bf16, DType::f32}) {
    const SyntheticModel model(config_of("qwen3"), dtype, 51);
    for (const bool graphs : {false, true}) {
      if (dtype == DType::f32 && !graphs) continue;
      INFO(name(dtype) << ", graphs " << graphs);
      GpuOptions gpu = testing::options_of(1);
      gpu.graphs = graphs;
      const Outcome outcome = check_same(model, plain_requests(12), without_digests(), gpu);
      CHECK(stopped(outcome) > 2);
      CHECK(outcome.stats.ahead_steps > 10);
      CHECK(outcome.stats.dropped_rows > 1);
      CHECK((outcome.recorder.replayed > 0) == graphs);
    }
  }
}

TEST_CASE("steps run ahead of requests of every kind", "[cuda][ahead]") {
  const SyntheticModel model(config_of("qwen3"), DType::bf16, 52);
  std::vector<Request> requests = mixed_requests();
  ReplicaOptions options = without_digests();
  const Outcome mixed = check_same(model, requests, options);
  CHECK(mixed.stats.ahead_steps > 3);
  // More rows of logits than are computed at a time, chunks, few places.
  options.logit_rows = 3;
  options.prefill_chunk = 7;
  options.max_sequences = 8;
  CHECK(check_same(model, requests, options).completions == mixed.completions);
  // Without those whose edits depend on the last token all steps but the first run ahead.
  std::erase_if(requests, edits_follow_tokens);
  const Outcome known = check_same(model, requests, without_digests());
  CHECK(known.stats.ahead_steps == known.stats.steps - 1);
}

TEST_CASE("a step lands first when the host must know its tokens", "[cuda][ahead]") {
  const SyntheticModel model(config_of("llama"), DType::f32, 53);
  std::vector<Request> requests = plain_requests(3);
  const auto ahead_with = [&](const std::function<void(Request&)>& change) {
    std::vector<Request> some = requests;
    for (Request& request : some) request.sampling.ignore_eos = true;
    for (Request& request : some) request.sampling.max_tokens = 6;
    for (Request& request : some) change(request);
    return check_same(model, some, without_digests()).stats.ahead_steps;
  };
  CHECK(ahead_with([](Request&) {}) == 5);
  CHECK(ahead_with([](Request& request) { request.sampling.presence_penalty = 1; }) == 0);
  CHECK(ahead_with([](Request& request) { request.bad_words = {{7, 8}}; }) == 0);
  CHECK(ahead_with([](Request& request) { request.bad_words = {{7}, {9}}; }) == 5);
  CHECK(ahead_with([](Request& request) { request.sampling.min_tokens = 4; }) == 5);
  // An end token that would come at once comes when it may: 4 tokens, and a row that is dropped.
  CHECK(ahead_with([](Request& request) {
          request.sampling.min_tokens = 3;
          request.sampling.ignore_eos = false;
          request.sampling.logit_bias = {{17, 100}};
        }) == 4);
  CHECK(ahead_with([](Request& request) { request.sampling.logit_bias = {{3, 5}}; }) == 5);
  CHECK(ahead_with([](Request& request) { request.sampling.logprobs = 5; }) == 5);
  // More likeliest tokens than the sampler gives: the host chooses.
  CHECK(ahead_with([](Request& request) { request.sampling.logprobs = 200; }) == 0);
  ReplicaOptions digests;
  CHECK(check_same(model, requests, digests).stats.ahead_steps == 0);
}

TEST_CASE("steps run ahead with few pages", "[cuda][ahead]") {
  const SyntheticModel model(config_of("qwen3"), DType::bf16, 54);
  ReplicaOptions options = without_digests();
  options.page_tokens = 16;
  options.pages = 4;
  options.max_sequence_length = 80;
  std::vector<Request> requests = plain_requests(8);
  for (Request& request : requests) {
    request.sampling.max_tokens += 12;
    request.sampling.ignore_eos = request.index % 3 == 0;
  }
  const Outcome plain = check_same(model, requests, options);
  CHECK(plain.stats.preemptions > 1);
  CHECK(plain.stats.dropped_rows > 0);
  // The longest sequence ends some.
  options.max_sequence_length = 24;
  check_same(model, requests, options);
  // One page for each, and one sequence at a time.
  options.max_sequences = 1;
  check_same(model, requests, options);
}

TEST_CASE("steps run ahead of prompts with common beginnings", "[cuda][ahead]") {
  const SyntheticModel model(config_of("qwen3"), DType::bf16, 55);
  std::vector<Request> requests = plain_requests(9);
  const std::vector<TokenId> beginning = varied_requests(1, kVocab, 5, 64, 1).front().prompt;
  for (Request& request : requests) {
    const auto shared = static_cast<std::ptrdiff_t>(32 * (request.index % 3));
    request.prompt.insert(request.prompt.begin(), beginning.begin(), beginning.begin() + shared);
  }
  ReplicaOptions options = without_digests();
  options.max_sequences = 4;
  options.pages = 24;
  options.max_sequence_length = 200;
  options.page_tokens = 16;
  const Outcome outcome = check_same(model, requests, options);
  CHECK(outcome.stats.prefix_tokens_taken_over > 100);
}

TEST_CASE("steps of models with experts run ahead", "[cuda][ahead][experts]") {
  MoeCase test = moe_cases().front();
  test.config["vocab_size"] = kVocab;
  const SyntheticModel model(test.config, test.dtype, 56);
  CHECK(check_same(model, plain_requests(6), without_digests()).stats.ahead_steps > 5);
}

TEST_CASE("what is in flight at the end is kept", "[cuda][ahead]") {
  const SyntheticModel model(config_of("llama"), DType::f32, 57);
  const std::vector<Request> requests = plain_requests(8);
  const Outcome expected = run(model, requests, without_digests(), false);
  const auto alone = make_self_group();
  const auto ops = testing::make_subject(testing::options_of(1));
  ReplicaOptions options = without_digests();
  options.borrowed_ops = ops.get();
  Replica replica(model.path(), options, *alone);
  for (const int steps : {0, 1, 5, 11}) {
    INFO(steps);
    EngineOptions engine_options;
    engine_options.limits = replica.limits();
    engine_options.max_sequence_length = options.max_sequence_length;
    engine_options.eos = replica.model().partition().config.eos;
    Engine engine(replica.model(), nullptr, engine_options);
    for (const Request& request : requests) engine.submit(request);
    std::int64_t tokens = 0;
    std::vector<std::string> found;
    const auto on_token = [&](const Sequence&, TokenId) { ++tokens; };
    const auto on_completion = [&](const Sequence&, const Completion& completion) {
      found.push_back(text_of(completion));
    };
    for (int i = 0; i < steps; ++i) engine.step(on_token, on_completion);
    engine.drain(on_token, on_completion);
    const EngineStats& stats = engine.stats();
    CHECK(stats.steps == (steps == 0 ? 0 : steps + 1));  // the one that was ahead
    CHECK(engine.pending() == static_cast<std::int64_t>(requests.size() - found.size()));
    for (const std::string& one : found) {
      CHECK(std::count(expected.completions.begin(), expected.completions.end(), one) == 1);
    }
    // Prompts are short: the first step has them all.
    CHECK(tokens == stats.decode_tokens + (steps == 0 ? 0 : 8));
  }
}

}  // namespace weft::test
