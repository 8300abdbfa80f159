#include "layout/legality.h"

#include <fmt/format.h>

namespace weft {
namespace {

/// A rule's text with its numbers. Only numbers of an axis without ranks may be missing.
std::string filled_in(const Rule& rule, std::string_view text, const AskedLayout& asked) {
  const Layout& layout = asked.layout;
  const LayoutLimits& limits = asked.limits;
  const int size = size_of(layout, rule.primitive);
  std::string refused;
  if (rule.module) {
    const Semantics& entry = semantics_of(rule.primitive, *rule.module, ComputePhase::prefill);
    if (!entry.applies) refused = refusal(entry, std::to_string(size));
  }
  return fmt::format(
      fmt::runtime(text), fmt::arg("axis", name(rule.primitive)), fmt::arg("size", size),
      fmt::arg("tp", layout.tp), fmt::arg("pp", layout.pp), fmt::arg("sp", layout.sp),
      fmt::arg("ep", layout.ep), fmt::arg("dp", layout.dp),
      fmt::arg("stage", std::int64_t{layout.sp} * layout.tp),
      fmt::arg("sharers", layout.ep > 0 ? layout.tp / layout.ep : 0),
      fmt::arg("layout", to_string(layout)), fmt::arg("needed", layout.world_size()),
      fmt::arg("replica", layout.replica_size()), fmt::arg("ranks", asked.ranks),
      fmt::arg("o_segments", limits.o_segments), fmt::arg("down_segments", limits.down_segments),
      fmt::arg("sublayers", limits.sublayers), fmt::arg("experts", limits.experts),
      fmt::arg("expert_segments", limits.expert_segments),
      fmt::arg("shared_segments", limits.shared_segments), fmt::arg("refusal", refused));
}

bool every_axis_has_ranks(const Layout& layout) {
  for (const Primitive primitive : all_primitives()) {
    if (size_of(layout, primitive) < 1) return false;
  }
  return true;
}

}  // namespace

std::string limit_of(const Rule& rule, const LayoutLimits& limits) {
  return filled_in(rule, rule.limit, {{}, limits, 1});
}

std::vector<std::string> violations(const Layout& layout, const LayoutLimits& limits, int ranks) {
  const AskedLayout asked{layout, limits, ranks};
  const bool sound = every_axis_has_ranks(layout);
  std::vector<std::string> found;
  for (const Rule& rule : rules()) {
    if (!sound && !rule.limit.empty()) break;
    if (!rule.concerns(limits) || rule.holds(asked)) continue;
    found.push_back(filled_in(rule, rule.sentence, asked));
  }
  return found;
}

std::vector<Layout> layouts_of(int ranks, bool experts) {
  std::vector<int> divisors;
  for (int size = 1; size <= ranks; ++size) {
    if (ranks % size == 0) divisors.push_back(size);
  }
  std::vector<Layout> layouts;
  for (const int tp : divisors) {
    for (const int pp : divisors) {
      if (ranks / tp % pp != 0) continue;
      for (const int sp : divisors) {
        if (ranks / tp / pp % sp != 0) continue;
        for (const int ep : divisors) {
          if (ep > 1 && !experts) break;
          layouts.push_back({tp, pp, sp, ep, ranks / (tp * pp * sp)});
        }
      }
    }
  }
  return layouts;
}

}  // namespace weft
