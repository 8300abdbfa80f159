#include "model/forward/dense_ffn.h"
#include "ops/ops.h"

namespace weft {

void GatedBlock::forward(const Tensor& normed, const Tensor& x, const NextNorm& next,
                         const Workspace& space, TensorParallelRegion& region, Ops& ops) const {
  const std::int64_t m = normed.rows();
  const Tensor wide = space.wide(m, gate_up.shape.rows);
  const Tensor activated = space.inner(m, down.shape.columns());
  const Tensor parts = space.parts(static_cast<std::int64_t>(down.shape.cut.nodes.size()), m);
  ops.linear_swiglu(normed, gate_up, wide, activated);
  ops.linear(activated, down, parts);
  region.reduce(tree, parts, Tensor(), x, next);
}

}  // namespace weft
