// The table of what each primitive cuts.
#include <set>
#include <string>

#include "base/error.h"
#include "catch.h"
#include "layout/semantics.h"

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
  CHECK(refusal(semantics_of(Primitive::sp, Module::scores, ComputePhase::decode), "4") ==
        "sp=4 does not apply to decode (attention scores): a decode step has one row for each "
        "sequence, so there are no tokens to share; the sp ranks decode different sequences "
        "instead");
  CHECK(refusal(semantics_of(Primitive::ep, Module::ffn, ComputePhase::prefill), "2") ==
        "ep=2 does not apply to prefill (ffn): ep divides experts only");
  CHECK_THROWS_AS(refusal(semantics_of(Primitive::tp, Module::ffn, ComputePhase::prefill), "2"),
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

}  // namespace
}  // namespace weft
