// A feed-forward sub-layer with experts.
#pragma once

#include "model/forward/dense_ffn.h"
#include "model/forward/ffn.h"

namespace weft {

/// Everything given must outlive it. `slots` are those of the step that is computed, `load` counts
/// its tokens.
class MoeFfn final : public Ffn {
 public:
  MoeFfn(const MoePartition& part, const MoeWeights& weights, const Workspace& space,
         const MoeWorkspace& moe_space, ExpertDispatcher& dispatcher, TensorParallelRegion& region,
         Ops& ops, const Tensor& slots, const LoadCounter& load);

  void forward(const Tensor& normed, const Tensor& x, const NextNorm& next) override;

 private:
  void add_shared(const Tensor& normed, const Tensor& sum);

  const MoePartition& part_;
  const MoeWeights& weights_;
  const Workspace& space_;
  const MoeWorkspace& moe_space_;
  ExpertDispatcher& dispatcher_;
  TensorParallelRegion& region_;
  Ops& ops_;
  const Tensor& slots_;
  const LoadCounter& load_;
  GatedBlock shared_;
};

}  // namespace weft
