#include "plan/topology.h"

#include <algorithm>
#include <cstdint>

namespace weft {

bool within_node(const Layout& layout, Primitive axis, int ranks_per_node) {
  std::int64_t span = layout.replica_size();
  if (axis == Primitive::tp) span = layout.tp;
  if (axis == Primitive::sp) span = std::int64_t{layout.tp} * layout.sp;
  if (axis == Primitive::ep) span = std::max(layout.tp, layout.ep);
  if (axis == Primitive::dp) span = layout.world_size();
  if (layout.world_size() <= ranks_per_node) return true;
  return span == 1 || ranks_per_node % span == 0;
}

}  // namespace weft
