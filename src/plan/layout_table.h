// What each layout of a model would hold: the rows of `weft plan`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "layout/grid.h"
#include "plan/sizing.h"

namespace weft {

/// One layout, judged.
struct LayoutVerdict {
  Layout layout;
  std::vector<std::string> violations;  ///< why it is not possible; empty: it is
  std::vector<Partition> parts;         ///< as `partitions_of` orders them, when possible
  std::vector<Footprint> footprints;    ///< of each of the parts
  std::optional<EngineSizes> sizes;
};

/// Judges a layout for `ranks` ranks of `memory` bytes each: legality first, then memory.
LayoutVerdict judge(const Layout& layout, const ModelFacts& model,
                    const EngineConfig& engine_config, int ranks, Bytes memory, const OpSizes& ops);

/// The rank of a replica that holds most.
std::size_t largest_rank(const LayoutVerdict& verdict);

}  // namespace weft
