// The feed-forward half of a layer.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "comm/group.h"
#include "model/forward/expert_load.h"
#include "model/forward/moe_workspace.h"
#include "model/forward/weights.h"
#include "model/forward/workspace.h"
#include "model/parallel/expert_dispatcher.h"
#include "model/parallel/partition.h"
#include "model/parallel/tensor_parallel_region.h"
#include "ops/views.h"

namespace weft {

class Ops;

/// A feed-forward sub-layer.
class Ffn {
 public:
  virtual ~Ffn() = default;

  /// x += ffn(normed), then the norm of x that `next` asks for. normed [M, hidden] w, which `next`
  /// may overwrite, x [M, hidden] f32, equal on all ranks of the region.
  virtual void forward(const Tensor& normed, const Tensor& x, const NextNorm& next) = 0;
};

/// The feed-forward sub-layers of one rank, with and without experts.
class FfnLayers {
 public:
  /// `tp` and `experts` are as in `make_expert_dispatcher`; everything given must outlive this.
  /// Collective.
  FfnLayers(const Partition& part, const Weights& weights, const Workspace& space,
            Transport transport, TensorParallelRegion& region, Ops& ops, Group& tp, Group& experts);
  // The sub-layers refer to its members.
  FfnLayers(const FfnLayers&) = delete;
  FfnLayers& operator=(const FfnLayers&) = delete;

  /// Bytes that it takes from the operators' memory.
  static Bytes bytes(const Partition& part, const StepShape& shape, Transport transport);

  /// The part of them that messages are made of.
  static Bytes message_bytes(const Partition& part, const StepShape& shape, Transport transport);

  /// Whether steps of as many rows ask for the same whatever they hold: no count and no place is
  /// learned from the routes of their tokens.
  static bool repeats(const Partition& part);
  [[nodiscard]] bool repeats() const { return repeats(part_); }

  /// A step of `rows` rows begins, whose keys and values go to `slots` [rows] i32; rows of padding
  /// may be among those of steps that repeat. In models with experts all ranks of the expert group
  /// must say so, those without rows too.
  void begin(std::int64_t rows, const Tensor& slots);
  /// The sub-layer of the rank's `layer`-th layer.
  [[nodiscard]] Ffn& layer(std::int64_t layer) { return *layers_[static_cast<std::size_t>(layer)]; }

  /// Loads of the layers with experts, in their order. Waits for the operators.
  [[nodiscard]] std::vector<ExpertLoad> loads() const;

 private:
  const Partition& part_;
  DispatcherShape shape_;
  Tensor slots_;                             // of the step
  std::unique_ptr<MoeWorkspace> moe_space_;  // null in models without experts, like exchange_
  std::unique_ptr<ExpertDispatcher> dispatcher_;
  std::vector<LoadCounter> loads_;
  std::vector<std::unique_ptr<Ffn>> layers_;
};

/// Largest number of rows of one product of the rank: rows of a step, or pairs with experts.
std::int64_t largest_rows(const Partition& part, const StepShape& shape);

}  // namespace weft
