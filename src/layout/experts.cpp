#include "layout/experts.h"

#include <algorithm>

namespace weft {
namespace {

/// Tensor-parallel groups of an expert group.
int domains_of(const Layout& layout) { return std::max(1, layout.ep / layout.tp); }

}  // namespace

Range experts_of(std::int64_t experts, int part, int parts) {
  return {part * experts / parts, (std::int64_t{part} + 1) * experts / parts};
}

ExpertPlace expert_place(const Layout& layout, const Place& place) {
  ExpertPlace in_group;
  in_group.rank = place.sp % domains_of(layout) * layout.tp + place.tp;
  in_group.ranks = std::max(layout.tp, layout.ep);
  in_group.ep = layout.ep;
  in_group.tp = layout.tp;
  return in_group;
}

int expert_group_of(const Layout& layout, const Place& place) {
  return place.sp / domains_of(layout);
}

}  // namespace weft
