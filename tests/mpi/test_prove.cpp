// What the proof says: nothing of sound replicas, and clearly what is wrong with others.
#include <set>
#include <string>
#include <vector>

#include "comm/mpi_group.h"
#include "proof/prove.h"
#include "support/mutants.h"
#include "unit/catch.h"

namespace weft::test {

TEST_CASE("the proof names what differs", "[proof]") {
  const auto world = make_world_group();
  const ProofModel model = proof_models()[4];  // 2 of 8 experts
  Layout layout;
  layout.sp = world->size();
  Schedule plain = proof_schedules().front();
  Schedule mutant = plain;
  mutant.name = "mutant";
  mutant.options.ops = [] { return make_expert_mutant_ops(ExpertMutation::bf16_outputs); };
  Schedule roomy = plain;
  roomy.name = "meant to preempt";
  roomy.preempts = true;
  std::int64_t told = 0;
  const ProofResult result =
      prove({model}, {{0, layout, plain}, {0, layout, mutant}, {0, layout, roomy}}, *world,
            {[&](std::int64_t /*done*/) { ++told; }});
  CHECK(result.trials == 3);
  CHECK(result.preempting == 0);
  CHECK(result.digests.size() == 1);
  CHECK(told == 3);
  REQUIRE(result.failures.size() == 2);
  const std::string where = model.name + "; " + to_string(layout) + "; ";
  CHECK(result.failures[0].find(where + "mutant: request ") == 0);
  CHECK(result.failures[0].find(" prompt tokens) differs, and ") != std::string::npos);
  CHECK(result.failures[1].find(where + "meant to preempt: no sequence was thrown out") == 0);
}

TEST_CASE("the proof is silent about some of what it tries by default", "[proof]") {
  const auto world = make_world_group();
  const std::vector<ProofModel> models = proof_models();
  ProofScope scope;
  scope.ranks = world->size();
  scope.most = 24;
  const ProofResult result = prove(models, trials_of(models, scope), *world);
  CHECK(result.trials == 24);
  CHECK(result.failures == std::vector<std::string>{});
  std::set<std::string> digests;
  for (const ProofDigests& digest : result.digests) {
    digests.insert(digest.tokens.hex());
    digests.insert(digest.logits.hex());
  }
  CHECK(digests.size() == 2 * models.size());
}

TEST_CASE("the proof can be stopped by any rank", "[proof]") {
  const auto world = make_world_group();
  const std::vector<ProofModel> models = {proof_models()[0]};
  Layout layout;
  layout.dp = world->size();
  const std::vector<Trial> trials(4, {0, layout, proof_schedules().front()});
  std::int64_t told = 0;
  const ProofResult result =
      prove(models, trials, *world,
            {[&](std::int64_t done) { told = done; },
             [&] { return told >= 2 && world->rank() == world->size() - 1; }});
  CHECK(result.trials == 2);
  CHECK(told == 2);
  CHECK(result.failures.empty());
}

}  // namespace weft::test
