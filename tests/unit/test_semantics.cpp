// The table of what each primitive cuts, and the cut of a model into stages.
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "layout/causal_split.h"
#include "layout/semantics.h"
#include "layout/stages.h"

namespace weft {
namespace {

TEST_CASE("every primitive, module and phase has an entry with what is cut or why not",
          "[semantics]") {
  for (const Primitive primitive : all_primitives()) {
    for (const Module module : all_modules()) {
      for (const ComputePhase phase : all_phases()) {
        const Semantics& entry = semantics_of(primitive, module, phase);
        INFO(name(primitive) << ", " << name(module) << ", " << name(phase));
        CHECK(entry.primitive == primitive);
        CHECK(entry.module == module);
        CHECK(entry.phase == phase);
        CHECK(entry.applies == !entry.cut.empty());
        CHECK(entry.applies == entry.why.empty());
        if (!entry.applies) CHECK(entry.moves.empty());
      }
    }
  }
}

TEST_CASE("where each primitive applies", "[semantics]") {
  for (const Module module : all_modules()) {
    INFO(name(module));
    for (const Primitive primitive : {Primitive::tp, Primitive::pp, Primitive::dp}) {
      CHECK(semantics_of(primitive, module, ComputePhase::prefill).applies);
      CHECK(semantics_of(primitive, module, ComputePhase::decode).applies);
    }
    CHECK(semantics_of(Primitive::sp, module, ComputePhase::prefill).applies);
    CHECK_FALSE(semantics_of(Primitive::sp, module, ComputePhase::decode).applies);
    CHECK(semantics_of(Primitive::ep, module, ComputePhase::decode).applies ==
          (module == Module::experts));
    CHECK(semantics_of(Primitive::dp, module, ComputePhase::decode).moves.empty());
  }
}

TEST_CASE("refusals name axis, size, phase, module and reason", "[semantics]") {
  CHECK(refusal(semantics_of(Primitive::sp, Module::scores, ComputePhase::decode), 4) ==
        "sp=4 does not apply to decode (attention scores): a decode step has one row for each "
        "sequence, so there are no tokens to share; the sp ranks decode different sequences "
        "instead");
  CHECK(refusal(semantics_of(Primitive::ep, Module::ffn, ComputePhase::prefill), 2) ==
        "ep=2 does not apply to prefill (ffn): ep divides experts only");
  CHECK_THROWS_AS(refusal(semantics_of(Primitive::tp, Module::ffn, ComputePhase::prefill), 2),
                  Error);
}

TEST_CASE("what is legal and not built is said with its reason", "[semantics]") {
  std::set<Module> modules;
  for (const Alternative& other : alternatives()) {
    modules.insert(other.module);
    CHECK_FALSE(other.why_not.empty());
  }
  CHECK(modules == std::set<Module>{Module::output, Module::scores});
}

double dearest(const std::vector<Stage>& stages, const std::vector<double>& costs) {
  double most = 0;
  for (const Stage& stage : stages) {
    most = std::max(most, std::accumulate(costs.begin() + stage.sublayers.begin,
                                          costs.begin() + stage.sublayers.end, 0.0));
  }
  return most;
}

/// The least possible cost of the dearest of `stages` runs of costs[from, …), by trying everything.
double least(const std::vector<double>& costs, std::size_t from, int stages) {
  const auto sum = [&](std::size_t a, std::size_t b) {
    return std::accumulate(costs.begin() + static_cast<std::ptrdiff_t>(a),
                           costs.begin() + static_cast<std::ptrdiff_t>(b), 0.0);
  };
  if (stages == 1) return sum(from, costs.size());
  double best = 1e300;
  for (std::size_t to = from + 1; to + static_cast<std::size_t>(stages) - 1 <= costs.size(); ++to) {
    best = std::min(best, std::max(sum(from, to), least(costs, to, stages - 1)));
  }
  return best;
}

TEST_CASE("stages follow each other, none is empty, and the dearest is as cheap as can be",
          "[stages]") {
  const std::vector<std::vector<double>> models = {{1, 3, 1, 3},
                                                   {1, 3, 1, 3, 1, 3, 1, 3 + 9},    // a heavy head
                                                   {2, 2, 2, 2, 2, 2, 2, 2, 2, 2},  // all alike
                                                   {10, 1, 1, 1, 1, 1, 1, 1, 1, 10.5}};
  for (const std::vector<double>& costs : models) {
    for (int count = 1; count <= static_cast<int>(costs.size()); ++count) {
      const std::vector<Stage> stages = cut_stages(costs, count);
      REQUIRE(stages.size() == static_cast<std::size_t>(count));
      std::int64_t at = 0;
      std::map<std::int64_t, int> attention;
      std::map<std::int64_t, int> ffn;
      for (const Stage& stage : stages) {
        CHECK(stage.sublayers.begin == at);
        CHECK_FALSE(stage.sublayers.empty());
        at = stage.sublayers.end;
        for (auto l = stage.attention_layers().begin; l < stage.attention_layers().end; ++l) {
          ++attention[l];
          CHECK(stage.layers().contains(l));
        }
        for (auto l = stage.ffn_layers().begin; l < stage.ffn_layers().end; ++l) {
          ++ffn[l];
          CHECK(stage.layers().contains(l));
        }
      }
      CHECK(at == static_cast<std::int64_t>(costs.size()));
      CHECK(stages.front().first());
      CHECK(stages.back().last());
      // Each layer's attention and ffn exactly once.
      for (std::int64_t l = 0; l < at / 2; ++l) {
        CHECK(attention[l] == 1);
        CHECK(ffn[l] == 1);
      }
      CHECK(dearest(stages, costs) == least(costs, 0, count));
    }
  }
  CHECK_THROWS_AS(cut_stages(models[0], 5), Error);
}

}  // namespace
}  // namespace weft
