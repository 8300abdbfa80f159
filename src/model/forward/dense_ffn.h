// A feed-forward sub-layer that all tokens go through.
#pragma once

#include "model/forward/ffn.h"

namespace weft {

/// A gated feed-forward block that is split over the ranks of a region.
struct GatedBlock {
  const Matrix& gate_up;    ///< rows: own gates, own ups
  const Matrix& down;       ///< [hidden, own columns]
  const ProductTree& tree;  ///< of down

  /// x += down(silu(gate) * up) of normed [M, hidden] w; x [M, hidden] f32; then `next` of x.
  void forward(const Tensor& normed, const Tensor& x, const NextNorm& next, const Workspace& space,
               TensorParallelRegion& region, Ops& ops) const;
};

/// The ffn of a layer without experts. Everything given must outlive it.
class DenseFfn final : public Ffn {
 public:
  DenseFfn(const Partition& part, const LayerWeights& weights, const Workspace& space,
           TensorParallelRegion& region, Ops& ops)
      : block_{weights.gate_up, weights.down, part.down_tree},
        space_(space),
        region_(region),
        ops_(ops) {}

  void forward(const Tensor& normed, const Tensor& x, const NextNorm& next) override {
    block_.forward(normed, x, next, space_, region_, ops_);
  }

 private:
  GatedBlock block_;
  const Workspace& space_;
  TensorParallelRegion& region_;
  Ops& ops_;
};

}  // namespace weft
