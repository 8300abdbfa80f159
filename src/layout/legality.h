// Which layouts a model allows, and why not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layout/grid.h"

namespace weft {

/// The numbers of a model that layouts are checked against.
struct LayoutLimits {
  int o_segments = 1;     ///< segments of the attention output projection's K
  int down_segments = 1;  ///< segments of the ffn down projection's K
};

/// What is wrong with `layout` for `ranks` ranks: one sentence with the rule and the numbers for
/// each violation, none when it is legal.
std::vector<std::string> violations(const Layout& layout, const LayoutLimits& limits, int ranks);

/// All layouts of exactly `ranks` ranks along the axes that can be split, legal or not, tp rising.
std::vector<Layout> layouts_of(int ranks);

}  // namespace weft
