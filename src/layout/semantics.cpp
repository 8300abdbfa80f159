#include "layout/semantics.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "base/error.h"

namespace weft {
namespace {

constexpr std::array kPrimitives = {Primitive::tp, Primitive::sp, Primitive::pp, Primitive::ep,
                                    Primitive::dp};
constexpr std::array kModules = {Module::embedding, Module::qkv,     Module::scores, Module::output,
                                 Module::ffn,       Module::experts, Module::head};
constexpr std::array kPhases = {ComputePhase::prefill, ComputePhase::decode};

constexpr std::string_view kPartialSums =
    "tree nodes of partial sums: all-gather for few rows, all-to-all and all-gather for many";
constexpr std::string_view kOneRow =
    "a decode step has one row for each sequence, so there are no tokens to share; the sp ranks "
    "decode different sequences instead";
constexpr std::string_view kOnlyExperts = "ep divides experts only";
constexpr std::string_view kActivations = "activations [rows, hidden] to the next stage";

/// An entry for both phases, or for one.
struct Row {
  Primitive primitive;
  Module module;
  bool prefill;
  bool decode;
  std::string_view cut;
  std::string_view moves;
  std::string_view why;
};

constexpr Row both(Primitive primitive, Module module, std::string_view cut,
                   std::string_view moves = {}) {
  return {primitive, module, true, true, cut, moves, {}};
}
constexpr Row prefill_only(Module module, std::string_view cut, std::string_view moves = {}) {
  return {Primitive::sp, module, true, false, cut, moves, kOneRow};
}
constexpr Row never(Primitive primitive, Module module, std::string_view why) {
  return {primitive, module, false, false, {}, {}, why};
}

constexpr Row kRows[] = {
    both(Primitive::tp, Module::embedding, "vocabulary rows, in blocks of 256",
         "embedded rows: all-gather"),
    both(Primitive::tp, Module::qkv, "query heads, and the KV heads that they use"),
    both(Primitive::tp, Module::scores, "query heads"),
    both(Primitive::tp, Module::output, "input columns, by segment of whole heads", kPartialSums),
    both(Primitive::tp, Module::ffn, "ffn columns, by segment of the down projection",
         kPartialSums),
    both(Primitive::tp, Module::experts,
         "experts' columns, by segment, where ep is smaller than tp",
         "expert outputs, unreduced: all-gather or all-to-all"),
    both(Primitive::tp, Module::head, "vocabulary rows, in blocks of 256",
         "candidates of each row: all-gather"),

    prefill_only(Module::embedding, "rows of long prompts"),
    prefill_only(Module::qkv, "rows of long prompts"),
    prefill_only(Module::scores, "query rows of long prompts",
                 "keys and values of the shared rows: all-gather"),
    prefill_only(Module::output, "rows of long prompts"),
    prefill_only(Module::ffn, "rows of long prompts"),
    prefill_only(Module::experts, "rows of long prompts"),
    prefill_only(Module::head, "rows of long prompts", "chosen tokens: all-gather"),

    both(Primitive::pp, Module::embedding, "held by the first stage"),
    both(Primitive::pp, Module::qkv, "layers", kActivations),
    both(Primitive::pp, Module::scores, "layers"),
    both(Primitive::pp, Module::output, "layers"),
    both(Primitive::pp, Module::ffn, "layers", kActivations),
    both(Primitive::pp, Module::experts, "layers", kActivations),
    both(Primitive::pp, Module::head, "held by the last stage", "chosen tokens to all stages"),

    never(Primitive::ep, Module::embedding, kOnlyExperts),
    never(Primitive::ep, Module::qkv, kOnlyExperts),
    never(Primitive::ep, Module::scores, kOnlyExperts),
    never(Primitive::ep, Module::output, kOnlyExperts),
    never(Primitive::ep, Module::ffn, kOnlyExperts),
    both(Primitive::ep, Module::experts, "experts",
         "tokens to experts and outputs back, where the ranks do not have them"),
    never(Primitive::ep, Module::head, kOnlyExperts),

    both(Primitive::dp, Module::embedding, "requests"),
    both(Primitive::dp, Module::qkv, "requests"),
    both(Primitive::dp, Module::scores, "requests"),
    both(Primitive::dp, Module::output, "requests"),
    both(Primitive::dp, Module::ffn, "requests"),
    both(Primitive::dp, Module::experts, "requests"),
    both(Primitive::dp, Module::head, "requests"),
};

std::vector<Semantics> make_table() {
  std::vector<Semantics> table;
  for (const Row& row : kRows) {
    for (const ComputePhase phase : kPhases) {
      const bool applies = phase == ComputePhase::prefill ? row.prefill : row.decode;
      Semantics entry{row.primitive, row.module, phase, applies, {}, {}, {}};
      if (applies) {
        entry.cut = row.cut;
        entry.moves = row.moves;
      } else {
        entry.why = row.why;
      }
      table.push_back(entry);
    }
  }
  return table;
}

constexpr Alternative kAlternatives[] = {
    {Module::output, "output features",
     "every rank would need the whole attention output: an all-gather of all heads before the "
     "product, in place of the exchange of partial sums behind it"},
    {Module::scores, "the heads' hidden dimension",
     "partial dot products would have to be reduced before the softmax, for every key"},
};

}  // namespace

std::string_view name(Primitive primitive) {
  switch (primitive) {
    case Primitive::tp:
      return "tp";
    case Primitive::sp:
      return "sp";
    case Primitive::pp:
      return "pp";
    case Primitive::ep:
      return "ep";
    case Primitive::dp:
      return "dp";
  }
  fail("no such primitive");
}

std::string_view name(Module module) {
  switch (module) {
    case Module::embedding:
      return "embedding";
    case Module::qkv:
      return "q/k/v projections";
    case Module::scores:
      return "attention scores";
    case Module::output:
      return "output projection";
    case Module::ffn:
      return "ffn";
    case Module::experts:
      return "experts";
    case Module::head:
      return "head";
  }
  fail("no such module");
}

std::string_view name(ComputePhase phase) {
  return phase == ComputePhase::prefill ? "prefill" : "decode";
}

std::span<const Primitive> all_primitives() { return kPrimitives; }
std::span<const Module> all_modules() { return kModules; }
std::span<const ComputePhase> all_phases() { return kPhases; }

const Semantics& semantics_of(Primitive primitive, Module module, ComputePhase phase) {
  static const std::vector<Semantics> table = make_table();
  for (const Semantics& entry : table) {
    if (entry.primitive == primitive && entry.module == module && entry.phase == phase) {
      return entry;
    }
  }
  fail("the table of semantics has no entry for {} of {} in {}", name(primitive), name(module),
       name(phase));
}

int size_of(const Layout& layout, Primitive primitive) {
  switch (primitive) {
    case Primitive::tp:
      return layout.tp;
    case Primitive::sp:
      return layout.sp;
    case Primitive::pp:
      return layout.pp;
    case Primitive::ep:
      return layout.ep;
    case Primitive::dp:
      return layout.dp;
  }
  fail("no such primitive");
}

std::string refusal(const Semantics& entry, std::string_view size) {
  require(!entry.applies, "{} applies to {}", name(entry.primitive), name(entry.module));
  return fmt::format("{}={} does not apply to {} ({}): {}", name(entry.primitive), size,
                     name(entry.phase), name(entry.module), entry.why);
}

std::span<const Alternative> alternatives() { return kAlternatives; }

}  // namespace weft
