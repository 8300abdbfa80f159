// Experts in one part, few rows: every rank has some columns of each expert, so that it needs no
// rows of others and knows how many pairs everyone has before it knows the routes.
#include "model/parallel/expert_dispatcher_state.h"
#include "ops/ops.h"

namespace weft {
namespace {

class OnePartDispatcher final : public ExpertDispatcher {
 public:
  explicit OnePartDispatcher(DispatcherState& state) : state_(state) {}

  void begin(std::int64_t /*rows*/) override {}

  ExpertWork dispatch(const Tensor& x, const Tensor& experts) override {
    return state_.sort_in_place(x, experts, places());
  }

  void combine(const Tensor& outputs, const Tensor& weights, const Tensor& sum) override {
    state_.ops.combine(state_.part.tree.nodes, state_.gather_outputs(outputs), places(), weights,
                       sum);
  }

 private:
  /// [own rows, k, nodes] i32: where each pair's nodes stand when all ranks' have come together.
  [[nodiscard]] Tensor places() const {
    return state_.node_rows_buffer.tensor(
        DType::i32, {state_.own_rows(), state_.part.config.per_token, state_.part.all_nodes()});
  }

  DispatcherState& state_;
};

}  // namespace

std::unique_ptr<ExpertDispatcher> make_one_part_dispatcher(DispatcherState& state) {
  return std::make_unique<OnePartDispatcher>(state);
}

}  // namespace weft
