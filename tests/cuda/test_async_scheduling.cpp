// Steps that are launched before the tokens of the one before are known: the same completions, to
// the bit. In the emulation the host does not get what the device chose before it has waited, and
// cannot touch the device's memory.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "async_run.h"
#include "catch.h"
#include "engine/logit_edits.h"
#include "ops/rank_merge.h"
#include "support/bad_words.h"
#include "support/moe_configs.h"

namespace weft::test {

TEST_CASE("results of several requests are on their way", "[cuda][sampling][async]") {
  const auto ops = testing::make_device(1);
  RowSampler& sampler = *ops->sampler();
  constexpr std::int64_t kRows = 3;
  constexpr std::int64_t kColumns = 40;
  const Buffer room(ops->memory(), ops->sampling_bytes(kRows, kColumns));
  const Buffer logits_buffer(ops->memory(), kRows * kColumns * sizeof(float));
  const Buffer device_token_buffer(ops->memory(), 5 * sizeof(TokenId));
  const Buffer rows_buffer(ops->memory(), 6 * sizeof(TokenId));
  const Tensor logits = logits_buffer.tensor(DType::f32, {kRows, kColumns});
  const Tensor device_tokens = device_token_buffer.tensor(DType::i32, {5});
  const Tensor rows = rows_buffer.tensor(DType::i32, {6});
  // Row i of query q has its largest logit at 10 * q + i.
  const auto start = [&](int q, const std::vector<std::int32_t>& token_slot, std::size_t width) {
    std::vector<float> values(kRows * kColumns, 0.0F);
    for (int i = 0; i < kRows; ++i) {
      values[static_cast<std::size_t>(i * kColumns + 10 * q + i)] = 1;
    }
    ops->upload(std::as_bytes(std::span(values)), logits);
    OwnedSamplingRequests query;
    for (int i = 0; i < kRows; ++i) {
      SamplingRequest request;
      request.row = i;
      request.token_slot = token_slot[static_cast<std::size_t>(i)];
      request.top = static_cast<std::int32_t>(width);
      query.add(request, {}, {});
    }
    return sampler.start(logits, query.view(), width, {room.data(), room.bytes()}, device_tokens);
  };
  const auto tokens = [&](SamplingTicket ticket, std::size_t width) {
    std::vector<SamplingResult> results(kRows);
    std::vector<ScoredToken> top(kRows * width);
    sampler.finish(ticket, results, top);
    std::vector<TokenId> found;
    for (const SamplingResult& choice : results) found.push_back(choice.token);
    for (const ScoredToken& one : top) found.push_back(one.token);
    return found;
  };
  using Tokens = std::vector<TokenId>;
  const SamplingTicket first = start(0, {4, -1, 2}, 0);
  const SamplingTicket second = start(1, {-1, 0, -1}, 1);
  const SamplingTicket third = start(2, {1, -1, -1}, 0);
  const Tokens request = {device_token(4), 39, device_token(0),
                          device_token(2), 0,  device_token(1)};
  ops->upload(std::as_bytes(std::span(request)), rows);
  sampler.merge().resolve_device_tokens(device_tokens, {rows, {}, {}, {0, kColumns}});
  CHECK(tokens(second, 1) == Tokens{10, 11, 12, 10, 11, 12});
  CHECK(tokens(first, 0) == Tokens{0, 1, 2});
  CHECK_THROWS_AS(tokens(first, 0), Error);
  CHECK_THROWS_AS(tokens(third, 1), Error);
  CHECK(tokens(third, 0) == Tokens{20, 21, 22});
  Tokens put(request.size());
  ops->download(rows, std::as_writable_bytes(std::span(put)));
  CHECK(put == Tokens{0, 39, 11, 2, 0, 20});
  CHECK_THROWS_AS(start(0, {5, -1, -1}, 0), Error);
}

TEST_CASE("tokens on the device are found at the ranks that hold them", "[cuda][async]") {
  const auto ops = testing::make_device(1);
  const auto array = [&](const std::vector<std::int32_t>& values) {
    Buffer buffer(ops->memory(), values.size() * sizeof(std::int32_t));
    const auto count = static_cast<std::int64_t>(values.size());
    ops->upload(std::as_bytes(std::span(values)), buffer.tensor(DType::i32, {count}));
    return buffer;
  };
  const auto tensor = [](const Buffer& buffer) {
    return buffer.tensor(DType::i32, {static_cast<std::int64_t>(buffer.bytes() / 4)});
  };
  const Buffer device_tokens = array({5, 6, 19, 20, 39});
  // Five ranks with tokens up to 6, none, up to 20, up to 40, none; each row is one token on the
  // device's.
  const Buffer holders = array({6, 6, 20, 40, 40, 0, 7, 7, 14, 21});
  const std::vector<std::int32_t> places = {-1, -2, -3, -4, -5};
  struct Case {
    Range own;
    std::vector<std::int32_t> rows;
  };
  const std::vector<Case> cases = {{{0, 6}, {5, 0, 0, 0, 0}},
                                   {{6, 6}, {0, 0, 0, 0, 0}},
                                   {{6, 20}, {0, 0, 13, 0, 0}},
                                   {{20, 40}, {0, 0, 0, 0, 19}}};
  for (const Case& test : cases) {
    INFO(test.own.begin << ".." << test.own.end);
    const Buffer rows = array(places);
    const Buffer order = array({-1, 3, -2, -3, -5, -4, 0});
    ops->sampler()->merge().resolve_device_tokens(
        tensor(device_tokens), {tensor(rows), tensor(order), tensor(holders), test.own});
    std::vector<std::int32_t> found(7);
    ops->download(tensor(order), std::as_writable_bytes(std::span(found)));
    CHECK(found == std::vector<std::int32_t>{0, 3, 8, 9, 18, 17, 0});
    found.resize(5);
    ops->download(tensor(rows), std::as_writable_bytes(std::span(found)));
    CHECK(found == test.rows);
  }
}

TEST_CASE("asynchronous steps change no bit", "[cuda][async]") {
  for (const DType dtype : {DType::bf16, DType::f32}) {
    const SyntheticModel model(ahead_config("qwen3"), dtype, 51);
    for (const bool graphs : {false, true}) {
      if (dtype == DType::f32 && !graphs) continue;
      INFO(name(dtype) << ", graphs " << graphs);
      GpuOptions gpu = testing::options_of(1);
      gpu.graphs = graphs;
      const AheadOutcome outcome = check_ahead(model, plain_requests(24), without_digests(), gpu);
      CHECK(stopped(outcome) > 2);
      CHECK(outcome.stats.async_steps > 10);
      CHECK(outcome.stats.dropped_rows > 1);
      CHECK((outcome.recorder.replayed > 0) == graphs);
    }
  }
}

TEST_CASE("asynchronous steps for requests of every kind", "[cuda][async]") {
  const SyntheticModel model(ahead_config("qwen3"), DType::bf16, 52);
  std::vector<Request> requests = mixed_requests();
  ReplicaOptions options = without_digests();
  const AheadOutcome mixed = check_ahead(model, requests, options);
  CHECK(mixed.stats.async_steps > 3);
  // More rows of logits than are computed at a time, chunks, few places.
  options.logit_rows = 3;
  options.prefill_chunk = 7;
  options.max_sequences = 8;
  CHECK(check_ahead(model, requests, options).completions == mixed.completions);
  // Without those whose edits depend on the last token all steps but the first are scheduled
  // asynchronously.
  std::erase_if(requests, edits_follow_tokens);
  const AheadOutcome known = check_ahead(model, requests, without_digests());
  CHECK(known.stats.async_steps == known.stats.steps - 1);
}

TEST_CASE("a step lands first when the host must know its tokens", "[cuda][async]") {
  const SyntheticModel model(ahead_config("llama"), DType::f32, 53);
  std::vector<Request> requests = plain_requests(3);
  const auto ahead_with = [&](const std::function<void(Request&)>& change) {
    std::vector<Request> some = requests;
    for (Request& request : some) request.sampling.ignore_eos = true;
    for (Request& request : some) request.sampling.max_tokens = 6;
    for (Request& request : some) change(request);
    return check_ahead(model, some, without_digests()).stats.async_steps;
  };
  CHECK(ahead_with([](Request&) {}) == 5);
  CHECK(ahead_with([](Request& request) { request.sampling.presence_penalty = 1; }) == 0);
  CHECK(ahead_with([](Request& request) { request.bad_words = bad_words({{7, 8}}); }) == 0);
  CHECK(ahead_with([](Request& request) { request.bad_words = bad_words({{7}, {9}}); }) == 5);
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
  CHECK(check_ahead(model, requests, digests).stats.async_steps == 0);
}

TEST_CASE("asynchronous steps with few blocks", "[cuda][async]") {
  const SyntheticModel model(ahead_config("qwen3"), DType::bf16, 54);
  ReplicaOptions options = without_digests();
  options.block_tokens = 16;
  options.kv_blocks = 4;
  options.max_sequence_length = 80;
  std::vector<Request> requests = plain_requests(8);
  for (Request& request : requests) {
    request.sampling.max_tokens += 12;
    request.sampling.ignore_eos = request.index % 3 == 0;
  }
  const AheadOutcome plain = check_ahead(model, requests, options);
  CHECK(plain.stats.preemptions > 1);
  CHECK(plain.stats.dropped_rows > 0);
  // The longest sequence ends some.
  options.max_sequence_length = 24;
  check_ahead(model, requests, options);
  // One block for each, and one sequence at a time.
  options.max_sequences = 1;
  check_ahead(model, requests, options);
}

TEST_CASE("asynchronous steps for prompts with common beginnings", "[cuda][async]") {
  const SyntheticModel model(ahead_config("qwen3"), DType::bf16, 55);
  std::vector<Request> requests = plain_requests(9);
  const std::vector<TokenId> beginning = varied_requests(1, kAheadVocab, 5, 64, 1).front().prompt;
  for (Request& request : requests) {
    const auto shared = static_cast<std::ptrdiff_t>(32 * (request.index % 3));
    request.prompt.insert(request.prompt.begin(), beginning.begin(), beginning.begin() + shared);
  }
  ReplicaOptions options = without_digests();
  options.max_sequences = 4;
  options.kv_blocks = 24;
  options.max_sequence_length = 200;
  options.block_tokens = 16;
  const AheadOutcome outcome = check_ahead(model, requests, options);
  CHECK(outcome.stats.prefix_tokens_taken_over > 100);
}

TEST_CASE("asynchronous steps of models with experts", "[cuda][async][experts]") {
  MoeCase test = moe_cases().front();
  test.config["vocab_size"] = kAheadVocab;
  const SyntheticModel model(test.config, test.dtype, 56);
  CHECK(check_ahead(model, plain_requests(6), without_digests()).stats.async_steps > 5);
}

TEST_CASE("what is in flight at the end is kept", "[cuda][async]") {
  const SyntheticModel model(ahead_config("llama"), DType::f32, 57);
  const std::vector<Request> requests = plain_requests(8);
  const auto alone = make_self_group();
  const AheadOutcome expected =
      run_job(model, requests, without_digests(), false, testing::options_of(1), *alone);
  const auto ops = testing::make_device(testing::options_of(1));
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
