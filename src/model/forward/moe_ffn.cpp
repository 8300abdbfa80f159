#include "model/forward/moe_ffn.h"
#include "ops/ops.h"

namespace weft {

MoeFfn::MoeFfn(const MoePartition& part, const MoeWeights& weights, const Workspace& space,
               const MoeWorkspace& moe_space, ExpertDispatcher& dispatcher,
               TensorParallelRegion& region, Ops& ops, const Tensor& slots, const LoadCounter& load)
    : part_(part),
      weights_(weights),
      space_(space),
      moe_space_(moe_space),
      dispatcher_(dispatcher),
      region_(region),
      ops_(ops),
      slots_(slots),
      load_(load),
      shared_{weights.shared_gate_up, weights.shared_down, part.shared_tree} {}

void MoeFfn::forward(const Tensor& normed, const Tensor& x, const NextNorm& next) {
  const std::int64_t m = normed.rows();
  const Tensor logits = moe_space_.logits(m);
  const Tensor experts = moe_space_.experts(m);
  const Tensor weights = moe_space_.weights(m);
  ops_.linear(normed, weights_.router, logits);
  ops_.route(logits, slots_, part_.config.normalise, experts, weights, load_.counts());

  const ExpertWork work = dispatcher_.dispatch(normed, experts);
  const std::int64_t pairs = work.pairs();
  const Tensor gate_up = moe_space_.gate_up(pairs);
  const Tensor activated = moe_space_.activated(pairs);
  const Tensor outputs = moe_space_.outputs(pairs);
  ops_.expert_linear(work.x, work.rows, work.ends, weights_.gate_up, gate_up);
  ops_.swiglu(gate_up, activated);
  ops_.expert_linear(activated, Tensor(), work.ends, weights_.down, outputs);

  const Tensor sum = moe_space_.sum(m);
  dispatcher_.combine(outputs, weights, sum);
  if (part_.shared()) add_shared(normed, sum);
  const TreeNode root{0, 0};
  ops_.add_tree_norm(std::span(&root, 1), std::span(&sum, 1), Tensor(), x, next);
}

void MoeFfn::add_shared(const Tensor& normed, const Tensor& sum) {
  const std::int64_t m = normed.rows();
  const Tensor gate = moe_space_.shared_gate(m);
  const Tensor shared = moe_space_.shared(m);
  ops_.linear(normed, weights_.shared_gate, gate);
  ops_.clear(shared);
  shared_.forward(normed, shared, {}, space_, region_, ops_);
  ops_.add_gated(gate, shared, sum);
}

}  // namespace weft
