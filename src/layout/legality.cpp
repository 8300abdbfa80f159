#include "layout/legality.h"

#include <fmt/format.h>

#include "layout/semantics.h"

namespace weft {

namespace {

/// The rules of expert parallelism, for axes of at least 1.
std::vector<std::string> expert_violations(const Layout& layout, const LayoutLimits& limits) {
  std::vector<std::string> found;
  const int tp = layout.tp;
  const int ep = layout.ep;
  if (limits.experts == 0) {
    if (ep > 1) {
      found.push_back(fmt::format(
          "{}, and the model has none",
          refusal(semantics_of(Primitive::ep, Module::ffn, ComputePhase::prefill), ep)));
    }
    return found;
  }
  if (ep > limits.experts) {
    found.push_back(fmt::format("ep={}: a layer has {} experts, and every part needs at least one",
                                ep, limits.experts));
  }
  if (tp % ep != 0 && ep % tp != 0) {
    found.push_back(fmt::format(
        "ep={} with tp={}: one must be a multiple of the other, so that every rank has the same "
        "place among the experts of its stage",
        ep, tp));
    return found;
  }
  const std::int64_t stage = std::int64_t{layout.sp} * tp;
  if (stage % ep != 0) {
    found.push_back(
        fmt::format("ep={}: must divide the {} ranks of a stage (sp={} times tp={}), which share "
                    "the experts",
                    ep, stage, layout.sp, tp));
  }
  if (ep < tp && tp / ep > limits.expert_segments) {
    found.push_back(fmt::format(
        "tp={} ep={}: each expert is shared by tp/ep = {} ranks, but its down projection has {} "
        "segments, and every rank needs at least one",
        tp, ep, tp / ep, limits.expert_segments));
  }
  return found;
}

}  // namespace

std::vector<std::string> violations(const Layout& layout, const LayoutLimits& limits, int ranks) {
  std::vector<std::string> found;
  const auto add = [&](std::string text) { found.push_back(std::move(text)); };
  const auto at_least_one = [&](const char* axis, int size) {
    if (size < 1) add(fmt::format("{}={}: every axis has at least 1 rank", axis, size));
  };
  at_least_one("tp", layout.tp);
  at_least_one("pp", layout.pp);
  at_least_one("sp", layout.sp);
  at_least_one("ep", layout.ep);
  at_least_one("dp", layout.dp);
  if (!found.empty()) return found;

  if (layout.tp > limits.o_segments) {
    add(
        fmt::format("tp={}: the attention output projection has {} segments, and every rank needs "
                    "at least one",
                    layout.tp, limits.o_segments));
  }
  if (limits.down_segments > 0 && layout.tp > limits.down_segments) {
    add(
        fmt::format("tp={}: the ffn down projection has {} segments, and every rank needs at least "
                    "one",
                    layout.tp, limits.down_segments));
  }
  if (layout.pp > limits.sublayers) {
    add(fmt::format(
        "pp={}: the model has {} sub-layers (the attention and the ffn of each layer), and "
        "every stage needs at least one",
        layout.pp, limits.sublayers));
  }
  if (limits.shared_segments > 0 && layout.tp > limits.shared_segments) {
    add(
        fmt::format("tp={}: the shared expert's down projection has {} segments, and every rank "
                    "needs at least one",
                    layout.tp, limits.shared_segments));
  }
  for (std::string& text : expert_violations(layout, limits)) add(std::move(text));
  if (layout.world_size() != ranks) {
    add(fmt::format("{} needs {} ranks ({} for each replica), the job has {}", to_string(layout),
                    layout.world_size(), layout.replica_size(), ranks));
  }
  return found;
}

std::vector<Layout> layouts_of(int ranks, bool experts) {
  std::vector<Layout> layouts;
  for (int tp = 1; tp <= ranks; ++tp) {
    if (ranks % tp != 0) continue;
    for (int pp = 1; pp <= ranks / tp; ++pp) {
      if (ranks % (tp * pp) != 0) continue;
      for (int sp = 1; sp <= ranks / (tp * pp); ++sp) {
        if (ranks % (tp * pp * sp) != 0) continue;
        for (int ep = 1; ep <= (experts ? tp * sp : 1); ++ep) {
          if (tp * sp % ep != 0 || (tp % ep != 0 && ep % tp != 0)) continue;
          layouts.push_back({tp, pp, sp, ep, ranks / (tp * pp * sp)});
        }
      }
    }
  }
  return layouts;
}

}  // namespace weft
