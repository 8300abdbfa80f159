// Pipelines, shared prompts and experts over GPU memory: one digest for every layout. In the
// emulation the host cannot touch device memory in these tests: code that tries dies.
#include <utility>

#include "catch.h"
#include "comm/mpi_group.h"
#include "model/footprint.h"
#include "staged_run.h"
#include "support/moe_configs.h"

namespace weft::test {
namespace {

std::vector<Request> few_requests(const nlohmann::json& config) {
  return varied_requests(3, config["vocab_size"], 27, 34, 3);
}

Layout layout_of(int tp, int ep, int sp, int pp) {
  Layout layout;
  layout.tp = tp;
  layout.ep = ep;
  layout.sp = sp;
  layout.pp = pp;
  return layout;
}

/// Runs as many replicas of that layout as there are ranks for; the ranks that are left over are
/// one without any other axis than tp.
void check_layout(const SyntheticModel& model, const nlohmann::json& config, const Layout& layout,
                  Transport transport, const Digest& expected) {
  const auto world = make_world_group();
  const auto ranks = static_cast<int>(layout.world_size());
  if (ranks > world->size()) return;
  auto group = world->split(world->rank() / ranks);
  ReplicaOptions options;
  if (group->size() == ranks) options.layout = layout;
  options.transport = transport;
  options.sp_threshold = 12;
  INFO("tp=" << layout.tp << " ep=" << layout.ep << " sp=" << layout.sp << " pp=" << layout.pp
             << " transport " << static_cast<int>(transport));
  CHECK(staged_digest(model, few_requests(config), options, std::move(group), 1) == expected);
}

/// Small enough for the emulation.
std::vector<MoeCase> gpu_moe_cases() {
  std::vector<MoeCase> cases = moe_cases();
  for (MoeCase& test : cases) {
    test.config["vocab_size"] = 300;
    test.config["intermediate_size"] = 72;
  }
  return cases;
}

}  // namespace

TEST_CASE("one digest for pipelines and shared prompts on GPUs", "[cuda][layout]") {
  nlohmann::json config = tiny_config("llama");
  config["vocab_size"] = 300;
  const auto world = make_world_group();
  const SyntheticModel model(config, DType::bf16, 13);
  const Digest expected = staged_digest(model, few_requests(config), {}, make_self_group(), 0);
  for (int ranks = 2; ranks <= world->size(); ++ranks) {
    check_layout(model, config, layout_of(1, 1, 1, ranks), Transport::automatic, expected);
    check_layout(model, config, layout_of(1, 1, ranks, 1), Transport::automatic, expected);
  }
  if (world->size() == 4) {
    check_layout(model, config, layout_of(2, 1, 2, 1), Transport::automatic, expected);
    check_layout(model, config, layout_of(1, 1, 2, 2), Transport::automatic, expected);
  }
}

TEST_CASE("one digest for every layout of experts on GPUs", "[cuda][layout][experts]") {
  const auto world = make_world_group();
  for (const MoeCase& test : gpu_moe_cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 14);
    const Digest expected =
        staged_digest(model, few_requests(test.config), {}, make_self_group(), 0);
    if (world->size() == 1) {
      check_layout(model, test.config, layout_of(1, 1, 1, 1), Transport::automatic, expected);
    }
    const int ranks = world->size();
    for (const Transport transport : {Transport::all_gather, Transport::all_to_all}) {
      if (ranks == 1) continue;  // nothing travels
      check_layout(model, test.config, layout_of(ranks, 1, 1, 1), transport, expected);
      check_layout(model, test.config, layout_of(ranks, ranks, 1, 1), transport, expected);
      check_layout(model, test.config, layout_of(1, ranks, ranks, 1), transport, expected);
    }
    if (world->size() == 4) {
      check_layout(model, test.config, layout_of(2, 4, 2, 1), Transport::all_to_all, expected);
      check_layout(model, test.config, layout_of(2, 1, 1, 2), Transport::automatic, expected);
    }
  }
}

TEST_CASE("every GPU rank holds what the plan says of experts", "[cuda][footprint][experts]") {
  const auto world = make_world_group();
  for (const MoeCase& test : gpu_moe_cases()) {
    INFO(test.name);
    const SyntheticModel model(test.config, test.dtype, 15);
    const auto ops = testing::make_device(1);
    const auto staged = make_staged_group(world->split(0), *ops);
    ReplicaOptions options;
    options.borrowed_ops = ops.get();
    options.layout = layout_of(world->size(), world->size(), 1, 1);
    Replica replica(model.path(), options, *staged);
    const Footprint whole =
        footprint_of(replica.model().partition(), replica.model().shape(), *ops);
    const Bytes planned = whole.total() - whole.recorded;  // what the driver takes, not we
    CHECK((whole.recorded > 0) == (world->size() == 1));
    CHECK(ops->memory().in_use() == planned);
    replica.complete(few_requests(test.config));
    CHECK(ops->memory().peak() == planned);
    for (const ExpertLoad& load : replica.model().expert_loads()) CHECK(load.imbalance() >= 1.0);
  }
}

}  // namespace weft::test
