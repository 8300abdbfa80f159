#include "plan/layout_table.h"

#include <algorithm>

#include "base/error.h"
#include "layout/legality.h"

namespace weft {

LayoutVerdict judge(const Layout& layout, const ModelFacts& model,
                    const EngineConfig& engine_config, int ranks, Bytes memory,
                    const OpSizes& ops) {
  LayoutVerdict verdict;
  verdict.layout = layout;
  verdict.violations = violations(layout, layout_limits(model, engine_config.layers), ranks);
  if (!verdict.violations.empty()) return verdict;
  std::vector<Partition> parts;
  try {
    parts = partitions_of(model, layout, engine_config.layers);
    verdict.sizes = size_engine(engine_config, layout, parts, memory, ops);
  } catch (const UserError& error) {
    verdict.violations.emplace_back(error.what());
    return verdict;
  }
  for (const Partition& part : parts) {
    verdict.footprints.push_back(footprint_of(part, verdict.sizes->shape, ops));
  }
  verdict.parts = parts;
  return verdict;
}

std::size_t largest_rank(const LayoutVerdict& verdict) {
  const auto most = std::max_element(
      verdict.footprints.begin(), verdict.footprints.end(),
      [](const Footprint& a, const Footprint& b) { return a.total() < b.total(); });
  return static_cast<std::size_t>(most - verdict.footprints.begin());
}

}  // namespace weft
