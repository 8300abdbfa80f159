// The layout never shows: tokens and logits digests are the same for every number of ranks,
// threads, instruction set, batch, chunk and block size.
#include <random>
#include <string>
#include <vector>

#include "comm/mpi_group.h"
#include "model/footprint.h"
#include "ops/make_cpu_ops.h"
#include "reference_ops/make_reference_ops.h"
#include "support/replica.h"
#include "support/skip.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

/// Every rank makes the same model in a directory of its own.
struct Case {
  std::string name;
  nlohmann::json config;
  DType dtype;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  nlohmann::json llama = tiny_config("llama");  // KV heads < ranks, untied, odd vocabulary
  all.push_back({"llama bf16", llama, DType::bf16});
  nlohmann::json qwen3 = tiny_config("qwen3");
  qwen3["tie_word_embeddings"] = true;
  qwen3["num_key_value_heads"] = 1;
  qwen3["vocab_size"] = 997;
  all.push_back({"qwen3 tied f32", qwen3, DType::f32});
  nlohmann::json qwen2 = tiny_config("qwen2");  // biases, all heads have keys of their own
  qwen2["num_key_value_heads"] = 8;
  qwen2.erase("head_dim");
  qwen2["hidden_size"] = 80;
  all.push_back({"qwen2 bf16", qwen2, DType::bf16});
  nlohmann::json mistral = tiny_config("mistral");  // window across a block edge
  mistral["sliding_window"] = 100;
  mistral["intermediate_size"] = 200;
  all.push_back({"mistral window bf16", mistral, DType::bf16});
  return all;
}

std::vector<Request> requests_of(const Case& test) {
  return varied_requests(9, test.config["vocab_size"], 7, 150, 12);
}

Digest run(const SyntheticModel& model, const Case& test, const ReplicaOptions& options,
           Group& group, EngineStats* stats = nullptr) {
  Replica replica(model.path(), options, group);
  return digest_of_completions(replica.complete(requests_of(test), stats));
}

/// Groups of `tp` consecutive ranks of the world; ranks beyond the last whole group form one of
/// their own size, which is a layout too.
std::unique_ptr<Group> replicas_of(Group& world, int tp) { return world.split(world.rank() / tp); }

}  // namespace

TEST_CASE("one digest for every tensor-parallel layout", "[layout]") {
  const auto world = make_world_group();
  const auto alone = make_self_group();
  for (const Case& test : cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 3, world->rank() % 3 + 1);
    const Digest expected = run(model, test, {}, *alone);
    for (int tp = 1; tp <= world->size(); ++tp) {
      INFO("tp=" << tp);
      const auto group = replicas_of(*world, tp);
      CHECK(run(model, test, {}, *group) == expected);
    }
  }
}

TEST_CASE("threads, instruction sets, transports and schedules do not show", "[layout]") {
  const auto world = make_world_group();
  const auto alone = make_self_group();
  for (const Case& test : cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 4);
    const Digest expected = run(model, test, {}, *alone);
    const auto check = [&](const std::string& what, const ReplicaOptions& options) {
      INFO(what);
      CHECK(run(model, test, options, *world) == expected);
    };
    for (const int threads : {2, 3, 4}) {
      ReplicaOptions options;
      options.threads = threads;
      check(std::to_string(threads) + " threads", options);
    }
    for (const Isa isa : {Isa::avx512_bf16, Isa::avx512, Isa::avx2, Isa::plain}) {
      ReplicaOptions options;
      options.isa = isa;
      try {
        make_cpu_ops(1, isa);
      } catch (const UserError& error) {
        WARN("skipped: " << error.what());
        continue;
      }
      check(std::string(name(isa)), options);
    }
    for (const Transport transport : {Transport::all_gather, Transport::all_to_all}) {
      ReplicaOptions options;
      options.transport = transport;
      check("transport", options);
    }
    for (const std::int64_t chunk : {1, 7, 127, 128, 129}) {
      ReplicaOptions options;
      options.prefill_chunk = chunk;
      check("chunks of " + std::to_string(chunk), options);
    }
    for (const std::int64_t sequences : {1, 2, 5}) {
      ReplicaOptions options;
      options.max_sequences = sequences;
      options.max_batch_tokens = 40 * sequences;
      options.block_tokens = sequences == 2 ? 16 : 128;
      check(std::to_string(sequences) + " sequences at a time", options);
    }
  }
}

TEST_CASE("the reference operators give the same digests as the optimised ones", "[layout]") {
  const auto world = make_world_group();
  WEFT_SKIP_IF(world->size() > 2, "more than two ranks");
  for (const Case& test : cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 4);
    ReplicaOptions plain;
    plain.ops = [] { return make_reference_ops(); };
    CHECK(run(model, test, plain, *world) == run(model, test, {}, *world));
  }
}

TEST_CASE("preemption does not show", "[layout]") {
  const auto world = make_world_group();
  const Case test = cases()[0];
  const SyntheticModel model(test.config, test.dtype, 5);
  const Digest expected = run(model, test, {}, *world);
  ReplicaOptions tight;
  tight.block_tokens = 16;
  tight.kv_blocks = 11;  // one sequence of 162 tokens at most
  EngineStats stats;
  CHECK(run(model, test, tight, *world, &stats) == expected);
  CHECK(stats.preemptions > 0);
}

TEST_CASE("every rank holds what the plan says", "[footprint]") {
  const auto world = make_world_group();
  for (const Case& test : cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 6);
    for (const int threads : {1, 3}) {
      ReplicaOptions options;
      options.threads = threads;
      Replica replica(model.path(), options, *world);
      const Footprint planned =
          footprint_of(replica.model().partition(), replica.model().shape(), replica.ops());
      CHECK(replica.ops().memory().in_use() == planned.total());
      replica.complete(requests_of(test));
      CHECK(replica.ops().memory().peak() == planned.total());
    }
  }
}

TEST_CASE("different weights, prompts and seeds do show", "[layout][mutation]") {
  const auto alone = make_self_group();
  const Case test = cases()[0];
  const SyntheticModel model(test.config, test.dtype, 3);
  const SyntheticModel other(test.config, test.dtype, 4);
  Replica replica(model.path(), {}, *alone);
  const auto requests = requests_of(test);
  const Digest expected = digest_of_completions(replica.complete(requests));
  CHECK_FALSE(run(other, test, {}, *alone) == expected);

  auto changed = requests;
  changed[0].prompt[0] ^= 1;
  CHECK_FALSE(digest_of_completions(replica.complete(changed)) == expected);
  changed = requests;
  changed[1].sampling.seed ^= 1U;
  changed[1].sampling.max_tokens = 12;
  auto same_seed = requests;
  same_seed[1].sampling.max_tokens = 12;
  CHECK_FALSE(digest_of_completions(replica.complete(changed)) ==
              digest_of_completions(replica.complete(same_seed)));
}

}  // namespace weft::test
