// Which layouts a model allows, and why not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layout/grid.h"

namespace weft {

/// The numbers of a model that layouts are checked against.
struct LayoutLimits {
  int o_segments = 1;          ///< segments of the attention output projection's K
  int down_segments = 0;       ///< segments of the ffn down projection's K; 0: no such layer
  std::int64_t sublayers = 2;  ///< attentions and ffns that are computed
  std::int64_t experts = 0;    ///< of a layer; 0: a dense model
  int expert_segments = 0;     ///< segments of an expert's down projection
  int shared_segments = 0;  ///< segments of the shared expert's down projection; 0: there is none
};

/// What is wrong with `layout` for `ranks` ranks: one sentence with the rule and the numbers for
/// each violation, none when it is legal.
std::vector<std::string> violations(const Layout& layout, const LayoutLimits& limits, int ranks);

/// All layouts of exactly `ranks` ranks, legal or not: tp rising, then pp, sp, and ep (of models
/// with experts only, where it and tp divide one another).
std::vector<Layout> layouts_of(int ranks, bool experts = false);

}  // namespace weft
