#include "ops/matrix.h"

namespace weft {

KCut KCut::of(const Segments& segments, Range leaves) {
  KCut cut;
  cut.leaves = leaves;
  const std::int64_t first = segments.columns_of(leaves).begin;
  for (std::int64_t leaf = leaves.begin; leaf < leaves.end; ++leaf) {
    cut.ends.push_back(segments.columns_of(static_cast<int>(leaf)).end - first);
  }
  cut.nodes = cover(leaves);
  return cut;
}

}  // namespace weft
