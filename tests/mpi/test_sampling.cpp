// Tokens and log-probabilities are the same for every cut of the vocabulary among ranks, and for
// every way in which a prompt that is scored is computed.
#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "comm/mpi_group.h"
#include "ops/make_cpu_ops.h"
#include "support/replica.h"
#include "support/row_sampling.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

TEST_CASE("rows yield the same on every cut of the vocabulary", "[choosing]") {
  const auto world = make_world_group();
  const auto ops = make_cpu_ops(1);
  const std::vector<SamplingParams> kinds = kinds_of_sampling();
  for (const std::int64_t vocab : {300, 2600}) {
    std::vector<Sequence> sequences;
    std::vector<float> logits;
    std::mt19937 random(static_cast<std::uint32_t>(vocab));
    for (std::size_t row = 0; row < 3 * kinds.size(); ++row) {
      SamplingParams params = kinds[row % kinds.size()];
      params.seed = row;
      sequences.push_back(sequence_of({1, 2, 299}, params));
      for (const TokenId token : {7, 298, 7}) sequences.back().append(token, {}, 1000);
      for (std::int64_t i = 0; i < vocab; ++i) {
        const auto draw = static_cast<float>(random() % 4096U) / 512;
        const bool odd = row % 2 == 0 && random() % 64 == 0;
        logits.push_back(odd ? -std::numeric_limits<float>::infinity() : draw);
      }
    }
    std::vector<LogitRow> rows;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      rows.push_back({&sequences[i], i % 5 == 4 ? 2 : 6});  // some are prompt tokens
    }
    const std::vector<TokenId> eos = {3, 270};
    const std::vector<SampledToken> expected = RowSampling(vocab, *ops, eos).sample(logits, rows);
    const auto non_finite = [](const SampledToken& choice) { return choice.non_finite; };
    CHECK(std::any_of(expected.begin(), expected.end(), non_finite));
    CHECK_FALSE(std::all_of(expected.begin(), expected.end(), non_finite));
    for (int tp = 1; tp <= world->size(); ++tp) {
      INFO("tp=" << tp << " vocab=" << vocab);
      const auto group = world->split(world->rank() / tp);
      const bool same = RowSampling(vocab, *ops, eos, group.get()).sample(logits, rows) == expected;
      CHECK(same);
    }
  }
}

/// Requests that score their prompts, between others; two choices of some.
std::vector<Request> scoring_requests(std::int64_t vocab) {
  std::vector<Request> requests;
  for (Request& request : varied_requests(8, vocab, 11, 100, 60)) {
    const std::int64_t index = request.index;
    request.echo = index % 2 == 0;
    if (index % 4 < 3) request.sampling.logprobs = index % 4 * 2;
    if (index == 4) request.sampling.max_tokens = 0;
    if (index == 5) request.sampling.frequency_penalty = 1;
    requests.push_back(request);
    if (index % 3 == 0) {
      request.choice = 1;
      requests.push_back(request);
    }
  }
  return requests;
}

/// Everything of them that goes into results.
bool same(const std::vector<Completion>& a, const std::vector<Completion>& b) {
  if (digest_of_completions(a) != digest_of_completions(b)) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].choice != b[i].choice || a[i].logprobs != b[i].logprobs ||
        a[i].prompt != b[i].prompt || a[i].prompt_logprobs != b[i].prompt_logprobs) {
      return false;
    }
  }
  return a.size() == b.size();
}

TEST_CASE("scored prompts do not depend on the layout or the schedule", "[choosing]") {
  const auto world = make_world_group();
  const auto alone = make_self_group();
  const nlohmann::json config = tiny_config("qwen3");
  const SyntheticModel model(config, DType::bf16, 8);
  const std::vector<Request> requests = scoring_requests(config["vocab_size"]);
  const auto run = [&](const ReplicaOptions& options, Group& group, EngineStats* stats = nullptr) {
    return Replica(model.path(), options, group).complete(requests, stats);
  };
  const std::vector<Completion> expected = run({}, *alone);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Request& request = requests[i];
    const bool scored = request.scores_prompt();
    CHECK(expected[i].prompt_logprobs.size() == (scored ? request.prompt.size() - 1 : 0));
    CHECK(expected[i].prompt.empty() == !request.echo);
    CHECK(expected[i].tokens.empty() == (request.sampling.max_tokens == 0));
    const bool logprobs = request.sampling.logprobs.has_value();
    CHECK(expected[i].logprobs.size() == (logprobs ? expected[i].tokens.size() : 0));
  }
  CHECK(expected[1].index == 0);  // another choice of the same greedy request: the same
  CHECK(expected[1].tokens == expected[0].tokens);
  CHECK(expected[5].choice == 1);  // of a sampled one: another answer
  CHECK(expected[5].tokens != expected[4].tokens);

  for (int tp = 1; tp <= world->size(); ++tp) {
    INFO("tp=" << tp);
    const auto group = world->split(world->rank() / tp);
    CHECK(same(run({}, *group), expected));
  }
  for (const std::int64_t chunk : {1, 7, 128}) {
    INFO("chunk " << chunk);
    ReplicaOptions options;
    options.prefill_chunk = chunk;
    CHECK(same(run(options, *world), expected));
  }
  ReplicaOptions tight;
  tight.block_tokens = 16;
  tight.kv_blocks = 18;
  tight.prefill_chunk = 20;
  EngineStats stats;
  CHECK(same(run(tight, *world, &stats), expected));
  CHECK(stats.preemptions > 0);
}

}  // namespace
}  // namespace weft::test
