#include "model/parallel/expert_dispatcher.h"

#include "model/parallel/expert_dispatcher_state.h"

namespace weft {
namespace {

/// Owns the state and chooses, step by step, how rows travel.
class SizedDispatcher final : public ExpertDispatcher {
 public:
  SizedDispatcher(const MoePartition& part, const DispatcherShape& shape, Ops& ops, Group& tp,
                  Group& experts)
      : state_(part, shape, ops, tp, experts),
        gather_(part.coordinates.ep == 1 ? make_one_part_dispatcher(state_)
                                         : make_gather_dispatcher(state_)),
        all_to_all_(part.coordinates.ep == 1 ? make_one_part_sliced_dispatcher(state_)
                                             : make_all_to_all_dispatcher(state_)),
        chosen_(gather_.get()) {}

  void begin(std::int64_t rows) override {
    state_.begin(rows);
    const bool gathers = dispatcher_gathers(state_.part, state_.shape, state_.all_rows());
    chosen_ = gathers ? gather_.get() : all_to_all_.get();
    chosen_->begin(rows);
  }
  ExpertWork dispatch(const Tensor& x, const Tensor& experts) override {
    return chosen_->dispatch(x, experts);
  }
  void combine(const Tensor& outputs, const Tensor& weights, const Tensor& sum) override {
    chosen_->combine(outputs, weights, sum);
  }

 private:
  DispatcherState state_;
  std::unique_ptr<ExpertDispatcher> gather_;
  std::unique_ptr<ExpertDispatcher> all_to_all_;
  ExpertDispatcher* chosen_;
};

}  // namespace

bool dispatcher_gathers(const MoePartition& part, const DispatcherShape& shape, std::int64_t rows) {
  if (part.coordinates.ranks == 1) return true;  // nothing travels
  if (shape.transport != Transport::automatic) return shape.transport == Transport::all_gather;
  const std::int64_t outputs = rows * part.config.per_token * part.all_nodes();
  return static_cast<Bytes>(outputs * shape.hidden) * sizeof(float) <= kDispatcherGatherLimit;
}

Bytes dispatcher_bytes(const MoePartition& part, const DispatcherShape& shape) {
  return DispatcherSizes::of(part, shape).total();
}

std::unique_ptr<ExpertDispatcher> make_expert_dispatcher(const MoePartition& part,
                                                         const DispatcherShape& shape, Ops& ops,
                                                         Group& tp, Group& experts) {
  return std::make_unique<SizedDispatcher>(part, shape, ops, tp, experts);
}

}  // namespace weft
