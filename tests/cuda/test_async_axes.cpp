// Steps that are scheduled asynchronously of the host where a replica has several ranks: tokens are
// chosen on one or by all of them, and the embedding's rows are spread. Ranks exchange data by way
// of the host here, so nothing is gained; what is asked for, and in which order, is the same.
#include <algorithm>
#include <string>
#include <vector>

#include "async_run.h"
#include "catch.h"
#include "comm/mpi_group.h"
#include "engine/logit_edits.h"
#include "support/moe_configs.h"
#include "support/skip.h"

namespace weft::test {
namespace {

Layout layout_of(int tp, int ep, int sp) {
  Layout layout;
  layout.tp = tp;
  layout.ep = ep;
  layout.sp = sp;
  return layout;
}

/// One stage each, for all ranks; of one rank there are other tests.
std::vector<Layout> dense_layouts(int ranks) {
  if (ranks == 1) return {};
  std::vector<Layout> layouts = {layout_of(ranks, 1, 1), layout_of(1, 1, ranks)};
  if (ranks == 4) layouts.push_back(layout_of(2, 1, 2));
  return layouts;
}

/// What one rank yields whose steps do not are scheduled asynchronously.
std::vector<std::string> expected_of(const SyntheticModel& model,
                                     const std::vector<Request>& requests,
                                     const ReplicaOptions& options) {
  const auto alone = make_self_group();
  return run_job(model, requests, options, false, testing::options_of(1), *alone).completions;
}

/// This rank's outcome on a layout of all ranks, whose completions are the expected ones.
AheadOutcome check_layout(const SyntheticModel& model, const std::vector<Request>& requests,
                          ReplicaOptions options, const Layout& layout,
                          const std::vector<std::string>& expected,
                          const GpuOptions& gpu = testing::options_of(1)) {
  INFO("tp=" << layout.tp << " ep=" << layout.ep << " sp=" << layout.sp);
  const auto world = make_world_group();
  options.layout = layout;
  AheadOutcome outcome = run_job(model, requests, options, true, gpu, *world);
  const bool same = outcome.completions == expected;
  CHECK(same);
  return outcome;
}

/// Sequence-parallel ranks share prompts from 12 tokens on, and steps have no digests.
ReplicaOptions sharing() {
  ReplicaOptions options = without_digests();
  options.sp_threshold = 12;
  return options;
}

/// Prompts of 2 to 40 tokens.
std::vector<Request> some_long_requests(std::int64_t count) {
  std::vector<Request> requests = plain_requests(count);
  for (Request& request : requests) {
    const auto longer = static_cast<std::size_t>(request.index % 3 * 12);
    for (std::size_t i = 0; i < longer; ++i) request.prompt.push_back(request.prompt[i % 2]);
  }
  return requests;
}

}  // namespace

TEST_CASE("one digest for layouts whose steps are asynchronous", "[cuda][async][layout]") {
  const int ranks = make_world_group()->size();
  const std::vector<Request> requests = some_long_requests(10);
  // The second vocabulary has fewer blocks than three ranks.
  for (const std::int64_t vocab : {1000, 300}) {
    nlohmann::json config = ahead_config("qwen3");
    config["vocab_size"] = vocab;
    const SyntheticModel model(config, DType::bf16, 61);
    const std::vector<std::string> expected = expected_of(model, requests, sharing());
    for (const Layout& layout : dense_layouts(ranks)) {
      const AheadOutcome outcome = check_layout(model, requests, sharing(), layout, expected);
      CHECK(stopped(outcome) > 0);
      CHECK(outcome.stats.async_steps > 8);
      CHECK(outcome.stats.dropped_rows > 0);
    }
  }
}

TEST_CASE("one digest for requests of every kind with asynchronous steps",
          "[cuda][async][layout]") {
  const int ranks = make_world_group()->size();
  const SyntheticModel model(ahead_config("llama"), DType::f32, 62);
  ReplicaOptions options = sharing();
  options.logit_rows = 5;
  for (const bool all : {true, false}) {
    std::vector<Request> requests = mixed_requests();
    if (!all) std::erase_if(requests, edits_follow_tokens);
    const std::vector<std::string> expected = expected_of(model, requests, options);
    for (const Layout& layout : dense_layouts(ranks)) {
      const AheadOutcome outcome = check_layout(model, requests, options, layout, expected);
      CHECK(outcome.stats.async_steps > (all ? 2 : 8));
      if (all || layout.sp > 1) continue;
      CHECK(outcome.stats.async_steps == outcome.stats.steps - 1);
    }
  }
  // More likeliest tokens than the sampler gives: one rank's host chooses, and all ranks wait.
  std::vector<Request> requests = plain_requests(4);
  for (Request& request : requests) request.sampling.ignore_eos = true;
  for (Request& request : requests) request.sampling.max_tokens = 6;
  for (const std::size_t host : {0U, 1U}) {  // at home on different ranks
    std::vector<Request> some = requests;
    some[host].sampling.logprobs = 200;
    const std::vector<std::string> expected = expected_of(model, some, options);
    for (const Layout& layout : dense_layouts(ranks)) {
      CHECK(check_layout(model, some, options, layout, expected).stats.async_steps == 0);
    }
  }
}

TEST_CASE("one digest with few blocks and asynchronous steps", "[cuda][async][layout]") {
  // Each rank decodes sequences of its own, and throws some out that another one could take at
  // once.
  const int ranks = make_world_group()->size();
  WEFT_SKIP_IF(ranks == 1, "one rank");
  const SyntheticModel model(ahead_config("llama"), DType::f32, 63);
  ReplicaOptions options = without_digests();
  options.block_tokens = 16;
  options.kv_blocks = 3;
  options.max_sequence_length = 48;
  std::vector<Request> requests = plain_requests(5 * ranks);
  for (Request& request : requests) {
    request.sampling.max_tokens += 12;
    request.sampling.ignore_eos = request.index % 3 == 0;
  }
  const std::vector<std::string> expected = expected_of(model, requests, options);
  const AheadOutcome outcome =
      check_layout(model, requests, options, layout_of(1, 1, ranks), expected);
  CHECK(outcome.stats.preemptions > 0);
  CHECK(outcome.stats.async_steps > 8);
}

TEST_CASE("one digest for recorded asynchronous steps", "[cuda][async][layout]") {
  // Ranks that exchange partial sums by way of the host record nothing: sp ranks have whole ones.
  const int ranks = make_world_group()->size();
  const SyntheticModel model(ahead_config("llama"), DType::f32, 64);
  std::vector<Request> requests = plain_requests(2 * ranks);
  for (Request& request : requests) {
    request.sampling.max_tokens = 8;
    request.sampling.ignore_eos = true;
  }
  const std::vector<std::string> expected = expected_of(model, requests, without_digests());
  GpuOptions gpu = testing::options_of(1);
  gpu.graphs = true;
  const AheadOutcome outcome =
      check_layout(model, requests, without_digests(), layout_of(1, 1, ranks), expected, gpu);
  CHECK(outcome.recorder.replayed > 0);
}

TEST_CASE("one digest for experts with asynchronous steps", "[cuda][async][layout][experts]") {
  const int ranks = make_world_group()->size();
  WEFT_SKIP_IF(ranks == 1, "one rank: test_async_scheduling.cpp has that");
  std::vector<MoeCase> cases = moe_cases();
  cases.resize(2);
  for (MoeCase& test : cases) {
    INFO(test.name);
    test.config["vocab_size"] = kAheadVocab;
    test.config["intermediate_size"] = 72;
    const SyntheticModel model(test.config, test.dtype, 65);
    const std::vector<Request> requests = plain_requests(5);
    const std::vector<std::string> expected = expected_of(model, requests, without_digests());
    for (const Layout& layout : dense_layouts(ranks)) {
      const AheadOutcome outcome =
          check_layout(model, requests, without_digests(), layout, expected);
      CHECK(outcome.stats.async_steps > 3);
    }
    // Hosts wait for the routes of experts that are spread.
    const Layout spread = layout_of(1, ranks, ranks);
    CHECK(check_layout(model, requests, without_digests(), spread, expected).stats.async_steps ==
          0);
  }
}

}  // namespace weft::test
