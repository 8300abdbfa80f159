#include "model/parallel/expert_dispatcher.h"

#include "model/parallel/expert_dispatcher_state.h"

namespace weft {
namespace {

/// Owns the state and chooses, step by step, how rows travel.
class SizedExchange final : public Exchange {
 public:
  SizedExchange(const MoePartition& part, const ExchangeShape& shape, Ops& ops, Group& tp,
                Group& experts)
      : state_(part, shape, ops, tp, experts),
        gather_(part.place.ep == 1 ? make_one_part_exchange(state_) : make_gather_exchange(state_)),
        all_to_all_(part.place.ep == 1 ? make_one_part_slices(state_)
                                       : make_all_to_all_exchange(state_)),
        chosen_(gather_.get()) {}

  void begin(std::int64_t rows) override {
    state_.begin(rows);
    const bool gathers = exchange_gathers(state_.part, state_.shape, state_.all_rows());
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
  ExchangeState state_;
  std::unique_ptr<Exchange> gather_;
  std::unique_ptr<Exchange> all_to_all_;
  Exchange* chosen_;
};

}  // namespace

bool exchange_gathers(const MoePartition& part, const ExchangeShape& shape, std::int64_t rows) {
  if (part.place.ranks == 1) return true;  // nothing travels
  if (shape.transport != Transport::automatic) return shape.transport == Transport::all_gather;
  const std::int64_t outputs = rows * part.config.per_token * part.all_nodes();
  return static_cast<Bytes>(outputs * shape.hidden) * sizeof(float) <= kExchangeGatherLimit;
}

Bytes exchange_bytes(const MoePartition& part, const ExchangeShape& shape) {
  return ExchangeSizes::of(part, shape).total();
}

std::unique_ptr<Exchange> make_exchange(const MoePartition& part, const ExchangeShape& shape,
                                        Ops& ops, Group& tp, Group& experts) {
  return std::make_unique<SizedExchange>(part, shape, ops, tp, experts);
}

}  // namespace weft
