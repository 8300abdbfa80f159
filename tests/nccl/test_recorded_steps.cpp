// Recorded decode steps of ranks that exchange data by NCCL, with a fake of the library.
#include <algorithm>
#include <thread>
#include <vector>

#include "catch.h"
#include "comm/mpi_group.h"
#include "cuda/emulated/emulated_ops.h"
#include "cuda/nccl_group.h"
#include "fake_nccl.h"
#include "support/moe_configs.h"
#include "support/replica.h"

namespace weft::testing {
namespace {

struct Outcome {
  Digest digest;
  EngineStats stats;
  Traffic traffic;
  RecorderCounts counts;
  int operations = 0;           ///< NCCL's calls
  int window_gathers = 0;       ///< of partial sums in symmetric memory, replays among them
  StreamMarks::Mark marks = 0;  ///< that the watchers were given
};

Outcome run(const test::SyntheticModel& model, const std::vector<Request>& requests,
            Transport transport, bool graphs, bool symmetric = false, bool windows = true,
            bool digests = true) {
  nccl_script().reset();
  nccl_script().in_progress = 3;
  nccl_script().no_windows = !windows;
  const auto marks = std::make_shared<FakeMarks>();
  GpuOptions gpu;
  gpu.scratch = Bytes{8} << 20;
  gpu.graphs = graphs;
  const auto ops = make_emulated_ops(gpu);
  const auto group = make_nccl_group(make_world_group(), *ops,
                                     NcclSetting{fake_nccl_api(), marks, 60, "a rank", symmetric});
  ReplicaOptions options;
  options.borrowed_ops = ops.get();
  options.transport = transport;
  options.digest = digests;
  Replica replica(model.path(), options, *group);
  Outcome outcome;
  outcome.digest = test::digest_of_completions(replica.complete(requests, &outcome.stats));
  outcome.traffic = std::as_const(replica.model().groups()).traffic();
  outcome.counts = replica.model().decoder().recorder_counts();
  outcome.operations = nccl_script().operations;
  outcome.window_gathers = nccl_script().window_gathers;
  outcome.marks = marks->last;
  return outcome;
}

/// What one CPU rank makes of a model in f32, whose bits are the emulation's, too.
Digest on_cpu(const test::SyntheticModel& model, const std::vector<Request>& requests,
              bool digests = true) {
  const auto alone = make_self_group();
  ReplicaOptions options;
  options.digest = digests;
  Replica cpu(model.path(), options, *alone);
  return test::digest_of_completions(cpu.complete(requests));
}

/// Requests whose steps have from `count` rows down to one.
std::vector<Request> ending_requests(std::int64_t count, std::uint64_t seed) {
  std::vector<Request> requests = test::varied_requests(count, 300, seed, 20, 1);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].sampling.max_tokens = static_cast<std::int64_t>(2 + 3 * i);
    requests[i].sampling.ignore_eos = true;
  }
  return requests;
}

TEST_CASE("recorded steps over NCCL", "[nccl]") {
  nlohmann::json config = test::tiny_config("llama");
  config["vocab_size"] = 300;
  const test::SyntheticModel model(config, DType::f32, 51);
  // Four rows in every decode step: nothing is padded, and the same bytes travel.
  std::vector<Request> requests = test::varied_requests(4, 300, 52, 20, 1);
  for (Request& request : requests) {
    request.sampling.max_tokens = 6;
    request.sampling.ignore_eos = true;
  }
  const Digest expected = on_cpu(model, requests);
  for (const Transport transport : {Transport::all_gather, Transport::all_to_all}) {
    INFO("transport " << static_cast<int>(transport));
    const Outcome plain = run(model, requests, transport, false);
    const Outcome recorded = run(model, requests, transport, true);
    CHECK(plain.digest == expected);
    CHECK(recorded.digest == expected);
    CHECK(plain.counts.recorded == 0);
    CHECK(recorded.counts.recorded == 1);
    CHECK(recorded.counts.replayed == 4);  // of five decode steps
    CHECK(recorded.traffic == plain.traffic);
    if (make_world_group()->size() == 1) continue;  // nothing travels
    // A replay calls nothing of NCCL, and has one mark for all its operations: each of the four
    // sub-layers gathers, or sends slices and gathers them.
    CHECK(recorded.operations < plain.operations);
    const StreamMarks::Mark operations = transport == Transport::all_gather ? 4 : 8;
    CHECK(recorded.marks == plain.marks - 4 * (operations - 1));
  }
}

TEST_CASE("recorded steps of models with experts over NCCL", "[nccl][experts]") {
  const auto cases = test::moe_cases();
  const auto eight = std::find_if(cases.begin(), cases.end(),
                                  [](const auto& test) { return test.dtype == DType::f32; });
  REQUIRE(eight != cases.end());
  nlohmann::json config = eight->config;
  config["vocab_size"] = 300;
  const test::SyntheticModel model(config, DType::f32, 53);
  // The first step of decodes is padded.
  const std::vector<Request> requests = ending_requests(3, 54);
  const Digest expected = on_cpu(model, requests);
  for (const Transport transport :
       {Transport::all_gather, Transport::all_to_all, Transport::automatic}) {
    INFO("transport " << static_cast<int>(transport));
    const Outcome recorded = run(model, requests, transport, true);
    CHECK(run(model, requests, transport, false).digest == expected);
    CHECK(recorded.digest == expected);
    CHECK(recorded.counts.replayed > 0);
  }
}

TEST_CASE("partial sums in symmetric memory over NCCL", "[nccl]") {
  nlohmann::json config = test::tiny_config("llama");
  config["vocab_size"] = 300;
  const test::SyntheticModel model(config, DType::f32, 55);
  const std::vector<Request> requests = ending_requests(4, 56);
  const Digest expected = on_cpu(model, requests);
  // Two ranks, or four, have as many partial sums each; others send them one by one.
  const int ranks = make_world_group()->size();
  const bool gathers = ranks == 2 || ranks == 4;
  for (const Transport transport : {Transport::all_gather, Transport::automatic}) {
    for (const bool graphs : {false, true}) {
      const Outcome outcome = run(model, requests, transport, graphs, true);
      CHECK(outcome.digest == expected);
      CHECK((outcome.window_gathers > 0) == gathers);
      // Nothing is left behind.
      CHECK(nccl_script().windows == 0);
      CHECK(nccl_script().pieces == 0);
    }
  }
  // Replays gather as the steps do that they repeat.
  const Outcome plain = run(model, requests, Transport::all_gather, false, true);
  const Outcome recorded = run(model, requests, Transport::all_gather, true, true);
  CHECK(plain.window_gathers == recorded.window_gathers);
  // Devices that do not see each other's memory have no windows, and the same bits.
  const Outcome without = run(model, requests, Transport::all_gather, true, true, false);
  CHECK(without.digest == expected);
  CHECK(without.window_gathers == 0);
  CHECK(run(model, requests, Transport::all_gather, true).window_gathers == 0);
}

TEST_CASE("asynchronous steps over NCCL", "[nccl][async]") {
  nlohmann::json config = test::tiny_config("llama");
  config["vocab_size"] = 700;  // three blocks: the fourth rank has none
  const test::SyntheticModel model(config, DType::f32, 57);
  std::vector<Request> requests = ending_requests(5, 58);
  for (Request& request : requests) {
    if (request.index % 2 == 1) request.sampling.temperature = 0.8;
    request.sampling.seed = static_cast<std::uint64_t>(request.index);
  }
  const Digest expected = on_cpu(model, requests, false);
  for (const bool graphs : {false, true}) {
    const Outcome outcome = run(model, requests, Transport::all_gather, graphs, false, true, false);
    CHECK(outcome.digest == expected);
    CHECK(outcome.stats.async_steps == outcome.stats.steps - 1);
    CHECK((outcome.counts.replayed > 0) == graphs);
  }
}

}  // namespace
}  // namespace weft::testing
