// Decode steps of whole models, recorded and not: the same bits.
#include <algorithm>
#include <string>
#include <vector>

#include "catch.h"
#include "compare.h"
#include "cuda/devices.h"
#include "model/footprint.h"
#include "support/moe_configs.h"
#include "support/replica.h"

namespace weft::test {
namespace {

/// Which sequence outlives the others: the one that has the cache's first block, or the last one.
enum class Longest { last, first };

/// Sequences that begin and end at different steps, so that steps have all numbers of rows.
std::vector<Request> requests_for(const nlohmann::json& config, Longest longest = Longest::last) {
  std::vector<Request> requests = varied_requests(4, config["vocab_size"], 31, 26, 1);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const std::size_t turn = longest == Longest::last ? i : requests.size() - 1 - i;
    requests[i].sampling.max_tokens = static_cast<std::int64_t>(2 + 3 * turn);
    requests[i].sampling.ignore_eos = true;
  }
  return requests;
}

struct Outcome {
  Digest digest;
  RecorderCounts counts;
  std::vector<ExpertLoad> loads;
};

/// Tokens of the experts of each layer.
std::vector<std::vector<std::int64_t>> tokens_of(const std::vector<ExpertLoad>& loads) {
  std::vector<std::vector<std::int64_t>> tokens;
  for (const ExpertLoad& load : loads) tokens.push_back(load.tokens);
  return tokens;
}

Outcome run(const SyntheticModel& model, const nlohmann::json& config, const GpuOptions& gpu,
            ReplicaOptions options = {}, Longest longest = Longest::last) {
  const auto alone = make_self_group();
  const auto ops = testing::make_device(gpu);
  options.borrowed_ops = ops.get();
  Replica replica(model.path(), options, *alone);
  const Digest digest = digest_of_completions(replica.complete(requests_for(config, longest)));
  return {digest, replica.model().decoder().recorder_counts(), replica.model().expert_loads()};
}

nlohmann::json small_config(const std::string& family) {
  nlohmann::json config = tiny_config(family);
  config["vocab_size"] = 300;
  return config;
}

GpuOptions with_graphs(int most) {
  GpuOptions options = testing::options_of(1);
  options.graphs = most > 0;
  options.most_graphs = most;
  return options;
}

}  // namespace

TEST_CASE("recorded steps have the bits of others", "[cuda][layout][graphs]") {
  for (const DType dtype : {DType::bf16, DType::f32}) {
    INFO(name(dtype));
    const nlohmann::json config = small_config("llama");
    const SyntheticModel model(config, dtype, 41);
    const Outcome plain = run(model, config, with_graphs(0));
    CHECK(plain.counts.replayed == 0);
    // Blocks of 16 tokens: the tables become wider as the sequences grow.
    ReplicaOptions options;
    options.block_tokens = 16;
    const Outcome all = run(model, config, with_graphs(64), options);
    CHECK(all.digest == plain.digest);
    CHECK(all.counts.recorded >= 3);
    CHECK(all.counts.replayed > all.counts.recorded);
    CHECK(all.counts.dropped == 0);
    const Outcome one = run(model, config, with_graphs(1), options);
    CHECK(one.digest == plain.digest);
    CHECK(one.counts.dropped == one.counts.recorded - 1);
    // No more rows of padding than there is room for.
    options.max_batch_tokens = 30;
    options.max_sequences = 3;
    const Outcome narrow = run(model, config, with_graphs(64), options);
    CHECK(narrow.digest == plain.digest);
    CHECK(narrow.counts.replayed > 0);
  }
}

TEST_CASE("rows of padding leave the cache's first block alone", "[cuda][layout][graphs]") {
  // The sequence that has it is among those of steps that are padded, from three rows to four.
  for (const DType dtype : {DType::bf16, DType::f32}) {
    const nlohmann::json config = small_config("llama");
    const SyntheticModel model(config, dtype, 47);
    const Outcome plain = run(model, config, with_graphs(0), {}, Longest::first);
    const Outcome all = run(model, config, with_graphs(64), {}, Longest::first);
    CHECK(all.digest == plain.digest);
    CHECK(all.counts.replayed > 0);
  }
}

TEST_CASE("recorded steps of a model that ends belong to it alone", "[cuda][layout][graphs]") {
  // The second model has other weights in the very places of the first one's.
  const nlohmann::json config = small_config("llama");
  const auto alone = make_self_group();
  const auto ops = testing::make_device(with_graphs(64));
  const auto plain = testing::make_device(with_graphs(0));
  for (const std::uint64_t seed : {42U, 43U}) {
    const SyntheticModel model(config, DType::f32, seed);
    std::vector<Digest> digests;
    for (GpuOps* const some : {ops.get(), plain.get()}) {
      ReplicaOptions options;
      options.borrowed_ops = some;
      Replica replica(model.path(), options, *alone);
      digests.push_back(digest_of_completions(replica.complete(requests_for(config))));
    }
    CHECK(digests[0] == digests[1]);
  }
}

TEST_CASE("steps of models with experts are recorded", "[cuda][layout][graphs][experts]") {
  for (MoeCase& test : moe_cases()) {
    INFO(test.name);
    test.config["vocab_size"] = 300;
    const SyntheticModel model(test.config, test.dtype, 44);
    const Outcome plain = run(model, test.config, with_graphs(0));
    const Outcome all = run(model, test.config, with_graphs(64));
    CHECK(plain.counts.replayed == 0);
    CHECK(all.counts.recorded >= 3);
    CHECK(all.counts.replayed > all.counts.recorded);
    CHECK(all.digest == plain.digest);
    // Steps of three rows are padded to four: whoever fills them up is no expert's token.
    CHECK(tokens_of(all.loads) == tokens_of(plain.loads));
    CHECK(!all.loads.empty());
  }
}

TEST_CASE("fast numerics are recorded, too", "[cuda][fast][graphs]") {
  const nlohmann::json config = small_config("llama");
  const SyntheticModel model(config, DType::bf16, 45);
  GpuOptions options = with_graphs(64);
  options.fast = true;
  CHECK(run(model, config, options).counts.replayed > 0);
}

TEST_CASE("recorded steps take the memory that they are reckoned to take", "[.graph-memory]") {
  if (testing::has_plain_products()) {
    WARN("skipped: there is no GPU");
    return;
  }
  nlohmann::json config = small_config("llama");
  config["num_hidden_layers"] = 32;
  const SyntheticModel model(config, DType::bf16, 46);
  ReplicaOptions replica_options;
  replica_options.block_tokens = 16;
  const auto alone = make_self_group();
  std::int64_t taken[2] = {};  // without recordings: what kernels take when they are first run
  RecorderCounts counts;
  Bytes reckoned = 0;
  for (const int most : {0, 64}) {
    const auto ops = testing::make_device(with_graphs(most));
    replica_options.borrowed_ops = ops.get();
    Replica replica(model.path(), replica_options, *alone);
    const auto before = static_cast<std::int64_t>(gpu_free_memory(0));
    replica.complete(requests_for(config));
    taken[most > 0 ? 1 : 0] = before - static_cast<std::int64_t>(gpu_free_memory(0));
    counts = replica.model().decoder().recorder_counts();
    if (most > 0) reckoned = ops->recorder_bytes(64) / static_cast<Bytes>(most);
  }
  REQUIRE(counts.recorded > 0);
  WARN(counts.recorded << " recordings of 64 sub-layers took " << taken[1] << " bytes, without any "
                       << taken[0] << "; reckoned for each: " << reckoned);
  // The driver takes pieces of two MiB.
  CHECK(taken[1] <= counts.recorded * static_cast<std::int64_t>(reckoned) + (4 << 20));
}

}  // namespace weft::test
