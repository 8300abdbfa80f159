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

ExpertCoordinates expert_coordinates(const Layout& layout, const RankCoordinates& coordinates) {
  ExpertCoordinates in_group;
  in_group.rank = coordinates.sp % domains_of(layout) * layout.tp + coordinates.tp;
  in_group.ranks = std::max(layout.tp, layout.ep);
  in_group.ep = layout.ep;
  in_group.tp = layout.tp;
  return in_group;
}

int expert_group_of(const Layout& layout, const RankCoordinates& coordinates) {
  return coordinates.sp / domains_of(layout);
}

}  // namespace weft
