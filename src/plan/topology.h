// Which axes of a layout stay within a node.
#pragma once

#include <limits>

#include "layout/grid.h"
#include "layout/semantics.h"

namespace weft {

/// For ranks that all are on one node.
inline constexpr int kOneNode = std::numeric_limits<int>::max();

/// Whether all groups along an axis, of consecutive ranks as layout/grid.h orders them, lie within
/// nodes of so many ranks. ep: the groups that share experts; pp: whole replicas.
bool within_node(const Layout& layout, Primitive axis, int ranks_per_node);

}  // namespace weft
