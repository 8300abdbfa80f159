// The layout never shows, on GPUs either: tokens and logits digests are the same for every number
// of ranks (which share the GPU here, by way of the host), batch, chunk, block size and choice of
// kernel. In the emulation the host cannot touch device memory in these tests: code that tries
// dies.
#include <cmath>
#include <string>
#include <vector>

#include "catch.h"
#include "comm/mpi_group.h"
#include "compare.h"
#include "cuda/nccl_group.h"
#include "model/footprint.h"
#include "staged_run.h"
#include "support/skip.h"

namespace weft::test {
namespace {

struct Case {
  std::string name;
  nlohmann::json config;
  DType dtype;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  nlohmann::json llama = tiny_config("llama");
  llama["vocab_size"] = 300;
  all.push_back({"llama bf16", llama, DType::bf16});
  nlohmann::json qwen3 = tiny_config("qwen3");
  qwen3["tie_word_embeddings"] = true;
  qwen3["num_key_value_heads"] = 1;
  qwen3["vocab_size"] = 300;
  qwen3["head_dim"] = 16;
  all.push_back({"qwen3 tied bf16", qwen3, DType::bf16});
  nlohmann::json mistral = tiny_config("mistral");
  mistral["sliding_window"] = 100;
  mistral["vocab_size"] = 300;
  all.push_back({"mistral window f32", mistral, DType::f32});
  return all;
}

std::vector<Request> requests_of(const Case& test) {
  return varied_requests(4, test.config["vocab_size"], 7, 140, 4);
}

/// Runs on operators of its own, staged to the host and back.
Digest run(const SyntheticModel& model, const Case& test, const ReplicaOptions& options,
           std::unique_ptr<Group> group, int variant = 0) {
  return staged_digest(model, requests_of(test), options, std::move(group), variant);
}

}  // namespace

TEST_CASE("one digest for every tensor-parallel layout on GPUs", "[cuda][layout]") {
  const auto world = make_world_group();
  for (const Case& test : cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 3, world->rank() % 3 + 1);
    const Digest expected = run(model, test, {}, make_self_group());
    for (int tp = 1; tp <= world->size(); ++tp) {
      if (tp == 1 && world->size() > 1) continue;
      INFO("tp=" << tp);
      for (const Transport transport : {Transport::all_gather, Transport::all_to_all}) {
        if (tp == 1 && transport == Transport::all_to_all) continue;  // nothing travels
        ReplicaOptions options;
        options.transport = transport;
        CHECK(run(model, test, options, world->split(world->rank() / tp), 1) == expected);
      }
    }
  }
}

TEST_CASE("NCCL moves what staging moves", "[.nccl]") {
  // On one GPU NCCL must be told that ranks may share it: scripts/gpu_tests.sh says how.
  const auto world = make_world_group();
  if (testing::has_plain_products() || nccl_release().empty()) {
    WARN("skipped: there is no GPU, or no NCCL");
    return;
  }
  const Case test = cases()[0];
  const SyntheticModel model(test.config, test.dtype, 3);
  const Digest expected = run(model, test, {}, make_self_group());
  // The first variant records no steps, the second does.
  for (const int variant : {0, 1}) {
    for (const Transport transport : {Transport::all_gather, Transport::all_to_all}) {
      INFO("variant " << variant << ", transport " << static_cast<int>(transport));
      const auto ops = testing::make_device(variant);
      const auto group = make_nccl_group(world->split(0), *ops, 60, "a rank under test");
      ReplicaOptions options;
      options.transport = transport;
      options.borrowed_ops = ops.get();
      Replica replica(model.path(), options, *group);
      CHECK(digest_of_completions(replica.complete(requests_of(test))) == expected);
      CHECK((replica.model().decoder().recorder_counts().replayed > 0) == (variant == 1));
    }
  }
}

TEST_CASE("schedules and choices of kernels do not show on GPUs", "[cuda][layout]") {
  const auto world = make_world_group();
  WEFT_SKIP_IF(world->size() > 2, "more than two ranks");
  for (const Case& test : cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 4);
    const Digest expected = run(model, test, {}, make_self_group());
    const auto check = [&](const std::string& what, const ReplicaOptions& options, int variant) {
      INFO(what);
      CHECK(run(model, test, options, world->split(0), variant) == expected);
    };
    for (const std::int64_t chunk : {7, 128}) {
      ReplicaOptions options;
      options.prefill_chunk = chunk;
      check("chunks of " + std::to_string(chunk), options, static_cast<int>(chunk % 3));
    }
    ReplicaOptions narrow;
    narrow.max_sequences = 1;
    narrow.max_batch_tokens = 40;
    narrow.block_tokens = 16;
    check("one sequence at a time", narrow, 2);
  }
}

TEST_CASE("every GPU rank holds what the plan says", "[cuda][footprint]") {
  const auto world = make_world_group();
  const Case test = cases()[0];
  const SyntheticModel model(test.config, test.dtype, 6);
  const auto ops = testing::make_device(1);
  const auto staged = make_staged_group(world->split(0), *ops);
  ReplicaOptions options;
  options.borrowed_ops = ops.get();
  Replica replica(model.path(), options, *staged);
  const Footprint planned =
      footprint_of(replica.model().partition(), replica.model().shape(), *ops);
  CHECK(planned.recorded > 0);
  const Bytes taken = planned.total() - planned.recorded;
  CHECK(ops->memory().in_use() == taken);
  replica.complete(requests_of(test));
  CHECK(ops->memory().peak() == taken);
}

TEST_CASE("a model's logits on a GPU are the CPU's", "[cuda][layout]") {
  const auto alone = make_self_group();
  std::vector<TokenId> tokens;
  std::vector<std::int32_t> rows;
  for (std::int32_t i = 0; i < 60; ++i) {
    tokens.push_back(i * 37 % 300);
    if (i % 9 == 0) rows.push_back(i);
  }
  for (const Case& test : cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 5);
    const auto ops = testing::make_device();
    ReplicaOptions options;
    Replica cpu(model.path(), options, *alone);
    options.borrowed_ops = ops.get();
    Replica gpu(model.path(), options, *alone);
    const std::vector<float> is = logits_of(gpu, tokens, rows);
    const std::vector<float> expected = logits_of(cpu, tokens, rows);
    // f32 models give the CPU's bits; bf16 ones round probabilities, and tensor cores add
    // otherwise.
    if (test.dtype == DType::f32) {
      CHECK((is == expected));
    } else {
      CHECK(testing::distance(is, expected) < 1e-2);
      CHECK(is != expected);
    }
  }
}

}  // namespace weft::test
