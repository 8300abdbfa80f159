// Prefix sharing computes less and changes no bit.
#include <string>
#include <vector>

#include "comm/mpi_group.h"
#include "support/replica.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

/// A prompt of that many tokens, the same for the same seed.
std::vector<TokenId> tokens(std::int64_t count, TokenId seed) {
  std::vector<TokenId> tokens;
  for (std::int64_t i = 0; i < count; ++i) {
    seed = (seed * 1103 + 12345) % 65521;
    tokens.push_back(seed % 500);
  }
  return tokens;
}

std::vector<TokenId> joined(std::vector<TokenId> first, const std::vector<TokenId>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

/// Prompts that begin alike, are equal, or are made of the same blocks.
std::vector<Request> alike() {
  const std::vector<TokenId> system = tokens(130, 1);
  std::vector<std::vector<TokenId>> prompts;
  for (TokenId question = 0; question < 4; ++question) {
    prompts.push_back(joined(system, tokens(9 + 14 * question, 100 + question)));
  }
  prompts.push_back(tokens(128, 1));  // ends with a block of every size
  prompts.push_back(tokens(129, 1));
  for (int copy = 0; copy < 3; ++copy) prompts.push_back(tokens(70, 2));
  // The same blocks of every size, in another order: nothing to share.
  prompts.push_back(joined(tokens(128, 3), tokens(140, 4)));
  prompts.push_back(joined(tokens(128, 4), tokens(140, 3)));
  prompts.push_back(tokens(3, 1));
  std::vector<Request> requests;
  for (auto& prompt : prompts) {
    Request request;
    request.index = static_cast<std::int64_t>(requests.size());
    request.prompt = std::move(prompt);
    request.sampling.max_tokens = 5 + request.index % 7;
    request.sampling.temperature = request.index % 2 == 0 ? 0.0 : 1.0;
    request.sampling.seed = static_cast<std::uint64_t>(request.index);
    request.sampling.ignore_eos = true;
    requests.push_back(std::move(request));
  }
  return requests;
}

Digest run(const SyntheticModel& model, const ReplicaOptions& options, Group& group,
           EngineStats& stats) {
  Replica replica(model.path(), options, group);
  return digest_of_completions(replica.complete(alike(), &stats));
}

}  // namespace

TEST_CASE("shared prefixes do not show", "[layout][prefix]") {
  const auto world = make_world_group();
  for (const char* family : {"llama", "qwen3"}) {
    const SyntheticModel model(tiny_config(family), DType::bf16, 11);
    ReplicaOptions plain;
    plain.prefix_sharing = false;
    EngineStats stats;
    const Digest expected = run(model, plain, *world, stats);
    CHECK(stats.prefix_tokens_looked_up == 0);
    const std::int64_t all = stats.prefill_tokens;

    for (const std::int64_t kv_block : {16, 32, 128}) {
      for (const std::int64_t chunk : {0, 33}) {
        INFO(family << ", pages of " << kv_block << ", chunks of " << chunk);
        ReplicaOptions options;
        options.block_tokens = kv_block;
        options.prefill_chunk = chunk;
        CHECK(run(model, options, *world, stats) == expected);
        CHECK(stats.preemptions == 0);
        CHECK(stats.prefix_tokens_taken_over > 0);
        CHECK(stats.prefill_tokens == all - stats.prefix_tokens_taken_over);
      }
    }
    // Now with few blocks, one sequence of 279 tokens at most: what is cached is evicted.
    for (const std::int64_t sequences : {1, 3, 64}) {
      INFO(family << ", 18 pages, " << sequences << " sequences");
      ReplicaOptions tight;
      tight.block_tokens = 16;
      tight.kv_blocks = 18;
      tight.max_sequences = sequences;
      tight.max_batch_tokens = 300;
      CHECK(run(model, tight, *world, stats) == expected);
      CHECK(stats.prefix_tokens_taken_over > 0);
      if (sequences == 64) CHECK(stats.preemptions > 0);
    }
  }
}

TEST_CASE("copies of a prompt compute it once", "[prefix]") {
  const auto world = make_world_group();
  const SyntheticModel model(tiny_config("llama"), DType::bf16, 12);
  Request request;
  request.prompt = tokens(100, 5);
  request.sampling.max_tokens = 4;
  request.sampling.ignore_eos = true;
  std::vector<Request> requests;
  for (request.index = 0; request.index < 20; ++request.index) requests.push_back(request);
  for (const bool sharing : {false, true}) {
    ReplicaOptions options;
    options.block_tokens = 32;
    options.prefix_sharing = sharing;
    Replica replica(model.path(), options, *world);
    EngineStats stats;
    const auto completions = replica.complete(requests, &stats);
    for (const Completion& completion : completions) {
      CHECK(completion.logits_digest == completions[0].logits_digest);
    }
    // Three full blocks; the other four tokens are computed by every copy.
    CHECK(stats.prefix_tokens_looked_up == (sharing ? 20 * 96 : 0));
    CHECK(stats.prefix_tokens_taken_over == (sharing ? 19 * 96 : 0));
    CHECK(stats.prefill_tokens == (sharing ? 100 + 19 * 4 : 20 * 100));
    CHECK(stats.decode_tokens == 20 * 3);
  }
}

}  // namespace weft::test
