// What each parallel primitive cuts, where it applies, and why not elsewhere: the table that the
// checker, `weft plan` and the engine read.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "layout/grid.h"

namespace weft {

/// The axes of a layout.
enum class Primitive { tp, sp, pp, ep, dp };
/// The parts of a forward pass.
enum class Module { embedding, qkv, scores, output, ffn, experts, head };
enum class ComputePhase { prefill, decode };

/// "tp", …; "q/k/v projections", …; "prefill", "decode".
std::string_view name(Primitive primitive);
std::string_view name(Module module);
std::string_view name(ComputePhase phase);

std::span<const Primitive> all_primitives();
std::span<const Module> all_modules();
std::span<const ComputePhase> all_phases();

/// What a primitive means for a module in a phase.
struct Semantics {
  Primitive primitive;
  Module module;
  ComputePhase phase;
  bool applies;            ///< the ranks of the axis divide this module's work
  std::string_view cut;    ///< what is divided; empty where it does not apply
  std::string_view moves;  ///< what travels between the axis' ranks here; empty: nothing
  std::string_view why;    ///< the reason where it does not apply
};

/// The entry of the table; there is one for every combination.
const Semantics& semantics_of(Primitive primitive, Module module, ComputePhase phase);

/// Ranks along an axis.
int size_of(const Layout& layout, Primitive primitive);

/// "sp=4 does not apply to decode (attention scores): …" for an entry that does not apply and an
/// axis of `size` ranks, as a number or in general.
std::string refusal(const Semantics& entry, std::string_view size);

/// A division that would be correct and is not built.
struct Alternative {
  Module module;
  std::string_view cut;
  std::string_view why_not;
};
std::span<const Alternative> alternatives();

}  // namespace weft
