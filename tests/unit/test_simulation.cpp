#include "plan/simulation.h"

#include <memory>

#include "catch.h"
#include "comm/group.h"
#include "engine/engine.h"
#include "ops/make_cpu_ops.h"
#include "planned_models.h"
#include "support/replica.h"

namespace weft {
namespace {

/// A machine on which only this costs anything.
class Costs final : public Hardware {
 public:
  double product_rows = 0;  ///< for each row of a product
  double pair = 0;
  double call = 0;
  double step = 0;
  double load = 0;

  [[nodiscard]] double product(double rows, double, double, DType) const override {
    return product_rows * rows;
  }
  [[nodiscard]] double attention(const AttentionLoad& seen, double, double, DType) const override {
    return pair * seen.pairs;
  }
  [[nodiscard]] double rows(double) const override { return 0; }
  [[nodiscard]] double sampling(double, double) const override { return 0; }
  [[nodiscard]] double communication(Operation, int, double calls, double, double,
                                     bool) const override {
    return call * calls;
  }
  [[nodiscard]] double host(double, double) const override { return step; }
  [[nodiscard]] double loading(double) const override { return load; }
  [[nodiscard]] std::string source() const override { return "a test"; }
};

LayoutVerdict verdict_of(const Layout& layout, const EngineConfig& config) {
  const ModelFacts facts{small_model(), {}, DType::bf16};
  const auto ops = make_cpu_ops(1);
  return judge(layout, facts, config, static_cast<int>(layout.world_size()), Bytes{1} << 30U, *ops);
}

Simulation simulated(const Layout& layout, const Costs& costs,
                     const std::vector<SimulatedRequest>& requests,
                     const EngineConfig& config = {}) {
  const LayoutVerdict verdict = verdict_of(layout, config);
  REQUIRE(verdict.sizes.has_value());
  StepModel model(verdict, costs, 8, false);
  return simulate(requests, verdict, model);
}

TEST_CASE("a simulated request takes the steps of an engine", "[simulation]") {
  Costs costs;
  costs.step = 1;
  costs.load = 10;
  const Simulation one = simulated({}, costs, {{{1, 2, 3, 4}, 3}});
  CHECK(one.steps == 3);
  CHECK(one.load_seconds == 10);
  CHECK(one.seconds == 13);
  CHECK(one.answer_tokens == 3);
  CHECK(one.ttft.at(0.5) == Approx(1).epsilon(0.01));
  CHECK(one.tpot.at(0.5) == Approx(1).epsilon(0.01));
  CHECK(one.host == 3);
}

TEST_CASE("a simulated step costs its products, pairs and calls", "[simulation]") {
  // Two layers: q/k/v, o, gate and up, down, of each row; the head, of each sample.
  Costs costs;
  costs.product_rows = 1;
  CHECK(simulated({}, costs, {{{1, 2, 3, 4}, 1}}).seconds == Approx(2 * 4 * 4 + 1));
  CHECK(simulated({}, costs, {{{1, 2, 3, 4}, 2}}).decode == Approx(2 * 4 + 1));
  costs = {};
  costs.pair = 1;  // 1 + 2 + 3 + 4 pairs in each layer, then 5
  CHECK(simulated({}, costs, {{{1, 2, 3, 4}, 1}}).seconds == Approx(2 * 10));
  CHECK(simulated({}, costs, {{{1, 2, 3, 4}, 2}}).decode == Approx(2 * 5));
  costs = {};
  costs.call = 1;  // embeddings, two sub-layers of two layers, candidates
  CHECK(simulated({2, 1, 1, 1, 1}, costs, {{{1, 2, 3, 4}, 1}}).communication == Approx(6));
}

TEST_CASE("simulated replicas share the work, and stages overlap", "[simulation]") {
  Costs costs;
  costs.product_rows = 1;
  const std::vector<SimulatedRequest> requests(64, {{1, 2, 3, 4}, 5});
  const double one = simulated({}, costs, requests).seconds;
  const Simulation two = simulated({1, 1, 1, 1, 2}, costs, requests);
  CHECK(two.answer_tokens == 64 * 5);
  CHECK(two.seconds < 0.6 * one);
  const Simulation stages = simulated({1, 2, 1, 1, 1}, costs, requests);
  CHECK(stages.seconds < 0.8 * one);
  CHECK(stages.bubble > 0);
}

TEST_CASE("a simulation goes through the steps of a run", "[simulation]") {
  // The same requests through a model and on predicted steps, with little room for the cache.
  const test::SyntheticModel files(test::tiny_config("qwen3"), DType::bf16, 1);
  auto requests = test::varied_requests(40, 200, 3, 40, 40);
  requests.push_back(requests.front());  // with a prefix that is known
  ReplicaOptions options;
  options.max_batch_tokens = 64;
  options.max_sequences = 8;  // as many as a replica reads ahead
  options.block_tokens = 16;
  options.kv_blocks = 12;
  options.max_sequence_length = 128;
  options.digest = false;
  std::vector<SimulatedRequest> plain;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].index = static_cast<std::int64_t>(i);
    const std::int64_t answer = requests[i].sampling.max_tokens;
    requests[i].sampling = {};
    requests[i].sampling.temperature = 0;
    requests[i].sampling.max_tokens = answer;
    requests[i].sampling.ignore_eos = true;
    plain.push_back({requests[i].prompt, answer});
  }
  const auto group = make_self_group();
  Replica replica(files.path(), options, *group);
  EngineStats stats;
  (void)replica.complete(requests, &stats);

  LayoutVerdict verdict = verdict_of({}, {});
  REQUIRE(verdict.sizes.has_value());
  verdict.sizes->limits = replica.limits();
  verdict.sizes->max_sequence_length = options.max_sequence_length;
  Costs costs;
  costs.step = 1;
  StepModel model(verdict, costs, 1, false);
  const Simulation found = simulate(plain, verdict, model);
  CHECK(found.refused == 0);
  CHECK(found.seconds == static_cast<double>(stats.steps));
  CHECK(found.steps == stats.steps);
  CHECK(stats.preemptions > 0);
  CHECK(found.preemptions == stats.preemptions);
  CHECK(found.prefix_tokens == stats.prefix_tokens_taken_over);
}

}  // namespace
}  // namespace weft
