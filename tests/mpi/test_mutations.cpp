// The proof turns red for orders of addition that look deterministic and are not the contract's:
// each is tried in a whole model, beside the same layout as it should be.
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "comm/mpi_group.h"
#include "proof/prove.h"
#include "support/mutants.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

Layout layout_of(int tp, int sp = 1, int ep = 1) {
  Layout layout;
  layout.tp = tp;
  layout.sp = sp;
  layout.ep = ep;
  return layout;
}

/// Trials of one model, some of them meant to fail.
class Mutations {
 public:
  explicit Mutations(ProofModel model) : model_(std::move(model)) {}

  /// Adds a trial with changed options; layouts must come in order of their ranks.
  template <class Change>
  void add(const std::string& name, const Layout& layout, bool red, Change change) {
    Schedule schedule = proof_schedules().front();
    schedule.name = name;
    change(schedule.options);
    trials_.push_back({0, layout, schedule});
    red_.push_back(red);
  }
  void add_region(const std::string& name, int tp, bool red, const RegionFactory& region) {
    add(name, layout_of(tp), red, [&](ReplicaOptions& options) { options.region = region; });
  }

  /// Runs them all: those that should fail say what differs, the others are silent.
  void check(Group& world) const {
    const ProofResult result = prove({model_}, trials_, world);
    std::size_t reds = 0;
    for (std::size_t i = 0; i < trials_.size(); ++i) {
      const std::string name = fmt::format("{}; {}; {}: ", model_.name,
                                           to_string(trials_[i].layout), trials_[i].schedule.name);
      std::string found;
      for (const std::string& failure : result.failures) {
        if (failure.substr(0, name.size()) == name) found = failure;
      }
      INFO(name << found);
      CHECK((found.find(" differs") != std::string::npos) == red_[i]);
      reds += red_[i] ? 1 : 0;
    }
    CHECK(result.failures.size() == reds);
  }

 private:
  ProofModel model_;
  std::vector<Trial> trials_;
  std::vector<bool> red_;
};

void unchanged(ReplicaOptions& /*options*/) {}

}  // namespace

TEST_CASE("the proof tells other sums of ranks from the tree", "[layout][mutation]") {
  const auto world = make_world_group();
  if (world->size() < 4) return;  // a sum of two parts has one order only
  Mutations mutations(proof_models()[0]);
  mutations.add_region("odd carry", 3, true, make_carry_region);
  for (const int tp : {4, 6, 8}) {
    if (tp > world->size()) break;
    const bool power_of_two = (tp & (tp - 1)) == 0;
    mutations.add("as it should be", layout_of(tp), false, unchanged);
    mutations.add_region("rank order", tp, true, make_rank_order_region);
    mutations.add_region("ring", tp, true, make_ring_region);
    mutations.add_region("rounded to bf16", tp, true, make_rounding_region);
    mutations.add_region("odd carry", tp, !power_of_two, make_carry_region);
    // With a power of two of ranks Open MPI may double recursively, which is the very tree.
    if (!power_of_two) mutations.add_region("MPI_Allreduce", tp, true, make_allreduce_region);
    if (tp != 4) continue;
    mutations.add("segments by tp", layout_of(tp), true, [](ReplicaOptions& options) {
      options.caps = SegmentCaps{4, 4};
    });
  }
  mutations.check(*world);
}

TEST_CASE("the proof tells a ring's order of key blocks", "[layout][mutation]") {
  const auto world = make_world_group();
  if (world->size() != 4) return;
  ProofModel model = proof_models()[0];
  model.config["num_hidden_layers"] = 1;
  model.dtype = DType::f32;
  Mutations mutations(model);
  mutations.add("ascending", layout_of(1, 4), false, [](ReplicaOptions& options) {
    options.ops = [] { return make_ring_attention_ops(0); };
  });
  mutations.add("own block first", layout_of(1, 4), true, [&](ReplicaOptions& options) {
    options.ops = [turn = world->rank()] { return make_ring_attention_ops(turn); };
  });
  mutations.check(*world);
}

TEST_CASE("the proof tells other sums of experts", "[experts][mutation]") {
  const auto world = make_world_group();
  if (world->size() != 4) return;
  ProofModel model = proof_models()[4];
  model.dtype = DType::f32;  // with bf16 two experts' order is rounded away before the logits
  Mutations mutations(model);
  for (const Layout& layout : {layout_of(4, 1, 4), layout_of(2, 2, 4)}) {
    mutations.add("as it should be", layout, false, unchanged);
    const auto add = [&](const std::string& name, ExpertMutation mutation) {
      mutations.add(name, layout, true, [&](ReplicaOptions& options) {
        options.ops = [mutation] { return make_expert_mutant_ops(mutation); };
      });
    };
    add("experts in rank order", ExpertMutation::rank_order);
    add("experts summed by ranks", ExpertMutation::rank_sums);
    add("experts' outputs rounded to bf16", ExpertMutation::bf16_outputs);
  }
  mutations.check(*world);
}

}  // namespace weft::test
