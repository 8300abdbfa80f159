// The proof turns red for orders of addition that look deterministic and are not the contract's,
// and for replicas that share the requests wrongly: each is tried in a whole model, beside the same
// layout as it should be.
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "comm/mpi_group.h"
#include "proof/prove.h"
#include "support/mutants.h"
#include "support/skip.h"
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

Layout layout_of_replicas(int dp, int tp, int sp, int pp) {
  Layout layout = layout_of(tp, sp);
  layout.pp = pp;
  layout.dp = dp;
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
    add_trial(layout, schedule, red ? " differs" : "");
  }
  /// Adds a trial in which something is done to the last replica's share of the requests. `says` is
  /// part of what the proof says of it; nothing when it is silent.
  template <class Change>
  void add_share(const std::string& name, const Layout& layout, const std::string& says,
                 Change change) {
    Schedule schedule = proof_schedules().front();
    schedule.name = name;
    schedule.share = [change](const std::vector<Request>& requests, int replica, int replicas,
                              std::uint64_t seed) {
      std::vector<Request> share = share_of(requests, replica, replicas, seed);
      if (replica == replicas - 1) change(share, share_of(requests, 0, replicas, seed));
      return share;
    };
    add_trial(layout, schedule, says);
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
      CHECK(found.empty() == says_[i].empty());
      CHECK(found.find(says_[i]) != std::string::npos);
      reds += says_[i].empty() ? 0 : 1;
    }
    CHECK(result.failures.size() == reds);
  }

 private:
  void add_trial(const Layout& layout, const Schedule& schedule, const std::string& says) {
    trials_.push_back({0, layout, schedule});
    says_.push_back(says);
  }

  ProofModel model_;
  std::vector<Trial> trials_;
  std::vector<std::string> says_;  ///< part of what the proof says of each; nothing: it is silent
};

void unchanged(ReplicaOptions& /*options*/) {}

}  // namespace

TEST_CASE("the proof tells other sums of ranks from the tree", "[layout][mutation]") {
  const auto world = make_world_group();
  WEFT_SKIP_IF(world->size() < 4, "a sum of two parts has one order only");
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
  WEFT_SKIP_IF(world->size() != 4, "for four ranks");
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

TEST_CASE("the proof tells replicas that do not share the requests", "[dp][mutation]") {
  const auto world = make_world_group();
  const int ranks = world->size();
  WEFT_SKIP_IF(ranks != 2 && ranks != 4 && ranks != 8, "for two, four or eight ranks");
  Mutations mutations(proof_models()[4]);
  // One rank a replica, two that share prompts, two stages of two.
  const Layout layout =
      layout_of_replicas(2, ranks == 8 ? 2 : 1, ranks == 4 ? 2 : 1, ranks == 8 ? 2 : 1);
  using Requests = std::vector<Request>;
  mutations.add("as it should be", layout, false, unchanged);
  mutations.add("other sums in one replica", layout, true, [&](ReplicaOptions& options) {
    if (world->rank() < ranks / 2) return;
    options.ops = [] { return make_expert_mutant_ops(ExpertMutation::bf16_outputs); };
  });
  mutations.add_share("other seeds", layout, " differs", [](Requests& share, const Requests&) {
    for (Request& request : share) ++request.sampling.seed;
  });
  mutations.add_share(
      "one twice", layout, " came more than once, and 0 more",
      [](Requests& share, const Requests& first) { share.push_back(first.front()); });
  mutations.add_share("one dropped", layout, " is missing, and 0 more",
                      [](Requests& share, const Requests&) { share.pop_back(); });
  mutations.add_share("one for another", layout, " is missing, and 0 more; request ",
                      [](Requests& share, const Requests& first) { share.back() = first.back(); });
  mutations.check(*world);
}

TEST_CASE("the proof tells other sums of experts", "[experts][mutation]") {
  const auto world = make_world_group();
  WEFT_SKIP_IF(world->size() != 4, "for four ranks");
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
