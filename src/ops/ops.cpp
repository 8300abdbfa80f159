#include "ops/ops.h"

#include "ops/recorder.h"

namespace weft {

std::unique_ptr<Recorder> Ops::make_recorder() { return std::make_unique<Recorder>(); }

void Ops::linear_swiglu(const Tensor& x, const Matrix& gate_up, const Tensor& wide,
                        const Tensor& out) {
  linear(x, gate_up, wide);
  swiglu(wide, out);
}

void Ops::add_tree_norm(std::span<const TreeNode> nodes, std::span<const Tensor> parts,
                        const Tensor& bias, const Tensor& residual, const NextNorm& next) {
  add_tree(nodes, parts, bias, residual);
  if (next.out.defined()) rms_norm(residual, next.weight, next.eps, next.out);
}

}  // namespace weft
