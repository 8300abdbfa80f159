// A pipeline never waits in a circle, however little the transport buffers, and however long its
// messages are.
#include <string>
#include <vector>

#include "comm/mpi_group.h"
#include "support/rendezvous_group.h"
#include "support/replica.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

/// Requests whose steps have up to 512 rows of activations (96 KiB) and as many of records (20
/// log-probabilities of every token, the prompts' too: about 90 KiB). Open MPI buffers 4 KiB on a
/// host and 64 KiB between two.
std::vector<Request> talkative_requests(std::int64_t vocab) {
  std::vector<Request> requests = varied_requests(30, vocab, 11, 150, 9);
  for (Request& request : requests) {
    request.sampling.logprobs = 20;
    request.echo = request.index % 3 != 0;
  }
  return requests;
}

nlohmann::json config_of_four_layers() {
  nlohmann::json config = tiny_config("llama");
  config["num_hidden_layers"] = 4;
  return config;
}

/// Layouts of exactly `ranks` ranks with two stages or more.
std::vector<Layout> pipelines(int ranks) {
  std::vector<Layout> layouts;
  for (const int pp : {2, 3, 4, 6, 8}) {
    if (ranks % pp != 0) continue;
    Layout layout;
    layout.pp = pp;
    layout.tp = ranks / pp;
    layouts.push_back(layout);
    if (layout.tp == 1) continue;
    std::swap(layout.tp, layout.sp);
    layouts.push_back(layout);
  }
  return layouts;
}

/// All schedules of interest: full steps, chunks without any sample in between, single sequences.
std::vector<ReplicaOptions> schedules(const Layout& layout) {
  ReplicaOptions full;
  full.layout = layout;
  ReplicaOptions chunks = full;
  chunks.prefill_chunk = 16;
  chunks.max_batch_tokens = 32;
  ReplicaOptions few = full;
  few.max_sequences = 2;
  return {full, chunks, few};
}

}  // namespace

TEST_CASE("pipelines run when a send is finished only by its receiver", "[pipeline]") {
  const Deadline deadline(240);
  const auto world = make_rendezvous_group(make_world_group());
  const auto alone = make_self_group();
  const nlohmann::json config = config_of_four_layers();
  const SyntheticModel model(config, DType::bf16, 3);
  const auto requests = talkative_requests(config["vocab_size"]);
  const Digest expected =
      digest_of_completions(Replica(model.path(), {}, *alone).complete(requests));
  for (const Layout& layout : pipelines(world->size())) {
    for (const ReplicaOptions& options : schedules(layout)) {
      INFO(to_string(layout) << " chunks of " << options.prefill_chunk << ", at most "
                             << options.max_sequences << " sequences");
      CHECK(digest_of_completions(Replica(model.path(), options, *world).complete(requests)) ==
            expected);
    }
  }
}

TEST_CASE("pipelines run with messages longer than MPI buffers", "[pipeline]") {
  const Deadline deadline(240);
  const auto world = make_world_group();
  const auto alone = make_self_group();
  const nlohmann::json config = config_of_four_layers();
  const SyntheticModel model(config, DType::bf16, 4);
  const auto requests = talkative_requests(config["vocab_size"]);
  const Digest expected =
      digest_of_completions(Replica(model.path(), {}, *alone).complete(requests));
  for (const Layout& layout : pipelines(world->size())) {
    INFO(to_string(layout));
    ReplicaOptions options;
    options.layout = layout;
    CHECK(digest_of_completions(Replica(model.path(), options, *world).complete(requests)) ==
          expected);
  }
}

TEST_CASE("stages hold what the plan says", "[footprint][pipeline]") {
  const auto world = make_world_group();
  const nlohmann::json config = config_of_four_layers();
  const SyntheticModel model(config, DType::bf16, 5);
  for (const Layout& layout : pipelines(world->size())) {
    INFO(to_string(layout));
    ReplicaOptions options;
    options.layout = layout;
    Replica replica(model.path(), options, *world);
    const Footprint planned =
        footprint_of(replica.model().partition(), replica.model().shape(), replica.ops());
    CHECK(replica.ops().memory().in_use() == planned.total());
    replica.complete(talkative_requests(config["vocab_size"]));
    CHECK(replica.ops().memory().peak() == planned.total());
  }
}

}  // namespace weft::test
