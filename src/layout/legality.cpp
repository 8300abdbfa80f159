#include "layout/legality.h"

#include <fmt/format.h>

namespace weft {

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
  if (layout.tp > limits.down_segments) {
    add(
        fmt::format("tp={}: the ffn down projection has {} segments, and every rank needs at least "
                    "one",
                    layout.tp, limits.down_segments));
  }
  const auto not_built = [&](const char* axis, int size, const char* what) {
    if (size > 1) add(fmt::format("{}={}: {} is not built in this version", axis, size, what));
  };
  not_built("pp", layout.pp, "pipeline parallelism");
  not_built("sp", layout.sp, "sequence parallelism");
  not_built("ep", layout.ep, "expert parallelism");
  if (layout.world_size() != ranks) {
    add(fmt::format("{} needs {} ranks ({} for each replica), the job has {}", to_string(layout),
                    layout.world_size(), layout.replica_size(), ranks));
  }
  return found;
}

std::vector<Layout> layouts_of(int ranks) {
  std::vector<Layout> layouts;
  for (int tp = 1; tp <= ranks; ++tp) {
    if (ranks % tp != 0) continue;
    Layout layout;
    layout.tp = tp;
    layout.dp = ranks / tp;
    layouts.push_back(layout);
  }
  return layouts;
}

}  // namespace weft
