// Few rows: every rank gets everything and selects.
#include <numeric>

#include "base/error.h"
#include "model/parallel/expert_dispatcher_state.h"
#include "ops/ops.h"

namespace weft {
namespace {

class GatherDispatcher final : public ExpertDispatcher {
 public:
  explicit GatherDispatcher(DispatcherState& state) : state_(state) {}

  void begin(std::int64_t /*rows*/) override {}

  ExpertWork dispatch(const Tensor& x, const Tensor& experts) override {
    state_.route(experts);
    ExpertWork work;
    work.x = x;
    if (state_.part.coordinates.domains() > 1) {
      std::vector<Bytes> counts;
      for (const std::int64_t rows : state_.rows_of) {
        counts.push_back(static_cast<Bytes>(rows) * state_.x_row_bytes());
      }
      work.x = state_.rows.tensor(state_.shape.dtype, {state_.all_rows(), state_.shape.hidden});
      state_.cross->all_gather({x.data(), x.bytes()}, {work.x.data(), work.x.bytes()}, counts);
    }
    std::vector<std::int32_t> row_in_x(static_cast<std::size_t>(state_.all_rows()));
    std::iota(row_in_x.begin(), row_in_x.end(), 0);
    state_.own_pairs(row_in_x, work);
    return work;
  }

  void combine(const Tensor& outputs, const Tensor& weights, const Tensor& sum) override {
    const Tensor parts = state_.gather_outputs(outputs);
    const Tensor rows =
        state_.node_rows(state_.order, state_.chosen,
                         state_.first_row(state_.part.coordinates.domain()), state_.own_rows());
    state_.ops.combine(state_.part.tree.nodes, parts, rows, weights, sum);
  }

 private:
  DispatcherState& state_;
};

}  // namespace

std::unique_ptr<ExpertDispatcher> make_gather_dispatcher(DispatcherState& state) {
  return std::make_unique<GatherDispatcher>(state);
}

}  // namespace weft
