// Pipeline and sequence parallelism do not show: every layout along the axes tp, sp and pp gives
// one digest.
#include <string>
#include <vector>

#include "comm/mpi_group.h"
#include "support/replica.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

/// Layouts of exactly `ranks` ranks that a model of `sublayers` sub-layers and 8 segments allows.
std::vector<Layout> layouts_of_replica(int ranks, int sublayers) {
  std::vector<Layout> layouts;
  for (int tp = 1; tp <= std::min(ranks, 8); ++tp) {
    for (int sp = 1; tp * sp <= ranks; ++sp) {
      if (ranks % (tp * sp) != 0) continue;
      Layout layout;
      layout.tp = tp;
      layout.sp = sp;
      layout.pp = ranks / (tp * sp);
      if (layout.pp <= sublayers) layouts.push_back(layout);
    }
  }
  return layouts;
}

nlohmann::json config_of(const std::string& family) {
  nlohmann::json config = tiny_config(family);
  config["num_hidden_layers"] = 3;
  config["num_key_value_heads"] = 2;
  config["tie_word_embeddings"] = family == "qwen3";
  return config;
}

std::vector<Completion> complete(const SyntheticModel& model, const std::vector<Request>& requests,
                                 const ReplicaOptions& options, Group& group,
                                 EngineStats* stats = nullptr) {
  Replica replica(model.path(), options, group);
  return replica.complete(requests, stats);
}

}  // namespace

TEST_CASE("one digest for every layout along all axes of a replica", "[layout][axes]") {
  const auto world = make_world_group();
  const auto alone = make_self_group();
  for (const std::string family : {"llama", "qwen3"}) {
    const nlohmann::json config = config_of(family);
    const SyntheticModel model(config, DType::bf16, 3, world->rank() % 3 + 1);
    const auto requests = varied_requests(9, config["vocab_size"], 7, 150, 12);
    const Digest expected = digest_of_completions(complete(model, requests, {}, *alone));
    for (const Layout& layout : layouts_of_replica(world->size(), 6)) {
      for (const std::int64_t chunk : {0, 50}) {
        INFO(family << " " << to_string(layout) << " chunk " << chunk);
        ReplicaOptions options;
        options.layout = layout;
        options.prefill_chunk = chunk;
        options.sp_threshold = 3;  // even the shortest prompts are split
        CHECK(digest_of_completions(complete(model, requests, options, *world)) == expected);
        options.sp_threshold = 100;
        options.max_sequences = 3;
        options.block_tokens = 16;
        CHECK(digest_of_completions(complete(model, requests, options, *world)) == expected);
      }
    }
  }
}

}  // namespace weft::test
