// Orders of addition that look deterministic and are not the contract's, as parts of a model: each
// must show in its digests, or a proof that compares digests would prove nothing.
#pragma once

#include <memory>

#include "model/parallel/tensor_parallel_region.h"

namespace weft::test {

/// Regions that end products in ways of their own.
/// The pairwise tree over the ranks' sums, an odd one out carried upwards: the contract's own where
/// every rank has one node.
std::unique_ptr<TensorParallelRegion> make_carry_region(const RegionShape& shape, Ops& ops,
                                                        Group& group);
/// That tree over sums that were rounded to bf16 on their way.
std::unique_ptr<TensorParallelRegion> make_rounding_region(const RegionShape& shape, Ops& ops,
                                                           Group& group);
/// The ranks' sums one after the other.
std::unique_ptr<TensorParallelRegion> make_rank_order_region(const RegionShape& shape, Ops& ops,
                                                             Group& group);
/// Each slice of the columns summed around a ring of ranks, beginning behind its owner.
std::unique_ptr<TensorParallelRegion> make_ring_region(const RegionShape& shape, Ops& ops,
                                                       Group& group);
/// MPI_Allreduce. On a power of two of ranks it may double recursively, which is the very tree.
std::unique_ptr<TensorParallelRegion> make_allreduce_region(const RegionShape& shape, Ops& ops,
                                                            Group& group);

/// Attention that merges key blocks in the order in which a ring would bring them: beginning with
/// the `turn`-th. For f32 models without windows.
std::unique_ptr<Ops> make_ring_attention_ops(std::int64_t turn);

/// Operators whose `combine` is not the contract's.
enum class ExpertMutation {
  rank_order,    ///< a row's experts in the order in which their outputs lie: rank by rank
  rank_sums,     ///< each half of these added up before they meet
  bf16_outputs,  ///< outputs rounded to bf16 on their way
};
std::unique_ptr<Ops> make_expert_mutant_ops(ExpertMutation mutation);

}  // namespace weft::test
