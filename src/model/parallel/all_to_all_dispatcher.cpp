// Experts in several parts, many rows: each goes where it is needed, and to no other rank.
#include <numeric>

#include "base/error.h"
#include "model/parallel/expert_dispatcher_state.h"
#include "ops/ops.h"

namespace weft {
namespace {

class AllToAllDispatcher final : public ExpertDispatcher {
 public:
  explicit AllToAllDispatcher(DispatcherState& state) : state_(state) {}

  void begin(std::int64_t /*rows*/) override {}

  ExpertWork dispatch(const Tensor& x, const Tensor& experts) override {
    state_.route(experts);
    const std::int64_t first = state_.first_row(state_.part.coordinates.domain());
    std::vector<std::int32_t> row_in_x(static_cast<std::size_t>(state_.all_rows()), -1);
    std::iota(row_in_x.begin() + first, row_in_x.begin() + first + state_.own_rows(), 0);
    ExpertWork work;
    work.x = state_.part.coordinates.domains() > 1 ? dispatcher_rows(x, row_in_x) : x;
    state_.own_pairs(row_in_x, work);
    return work;
  }

  void combine(const Tensor& outputs, const Tensor& weights, const Tensor& sum) override {
    const Range mine = state_.slice_of(state_.group.rank());
    const auto chosen = state_.chosen_by(mine.begin, mine.size());
    const PairOrder order = order_pairs(chosen, state_.part_of, state_.part.coordinates.ep);
    std::vector<Bytes> counts;
    for (int rank = 0; rank < state_.group.size(); ++rank) {
      counts.push_back(state_.node_bytes(order, rank));
    }
    const Bytes all = std::accumulate(counts.begin(), counts.end(), Bytes{0});
    const std::vector<Bytes> send_counts = sort_outputs(outputs);
    state_.group.all_to_all({state_.send.data(), state_.send.bytes()}, send_counts,
                            {state_.receive.data(), state_.receive.bytes()}, counts);
    const Tensor rows = state_.node_rows(order, chosen, 0, mine.size());
    const std::int64_t first = state_.first_row(state_.part.coordinates.domain());
    const Range local{mine.begin - first, mine.end - first};
    const Tensor finished = sum.slice(local.begin, local.end);
    state_.ops.combine(state_.part.tree.nodes, state_.as_rows(state_.receive.data(), all), rows,
                       weights.slice(local.begin, local.end), finished);
    state_.gather_slices(finished, sum);
  }

 private:
  /// The rows of `slice` that have an expert on rank `rank`, ascending.
  [[nodiscard]] std::vector<std::int64_t> needed_by(int rank, Range slice) const {
    std::vector<std::int64_t> rows;
    for (std::int64_t row = slice.begin; row < slice.end; ++row) {
      for (const std::int32_t expert : state_.chosen_by(row, 1)) {
        if (state_.part_of[static_cast<std::size_t>(expert)] != state_.part_of_rank(rank)) continue;
        rows.push_back(row);
        break;
      }
    }
    return rows;
  }

  /// Own rows, then those of other domains that this rank's experts need. Completes `row_in_x`.
  Tensor dispatcher_rows(const Tensor& x, std::vector<std::int32_t>& row_in_x) {
    const int me = state_.group.rank();
    const Bytes row_bytes = state_.x_row_bytes();
    const std::int64_t first = state_.first_row(state_.part.coordinates.domain());
    std::vector<Bytes> send_counts;
    std::vector<Bytes> receive_counts;
    std::vector<std::int32_t> sent;  // rows of x
    auto next = static_cast<std::int32_t>(state_.own_rows());
    for (int rank = 0; rank < state_.group.size(); ++rank) {
      send_counts.push_back(0);
      receive_counts.push_back(0);
      if (state_.domain_of_rank(rank) == state_.part.coordinates.domain()) continue;
      for (const std::int64_t row : needed_by(rank, state_.slice_of(me))) {
        sent.push_back(static_cast<std::int32_t>(row - first));
        send_counts.back() += row_bytes;
      }
      for (const std::int64_t row : needed_by(me, state_.slice_of(rank))) {
        row_in_x[static_cast<std::size_t>(row)] = next++;
        receive_counts.back() += row_bytes;
      }
    }
    const DType dtype = state_.shape.dtype;
    const std::int64_t hidden = state_.shape.hidden;
    state_.gather_rows(
        x, sent, state_.send_rows.tensor(dtype, {static_cast<std::int64_t>(sent.size()), hidden}));
    state_.ops.copy(x, state_.rows.tensor(dtype, {x.rows(), hidden}));
    state_.group.all_to_all({state_.send_rows.data(), state_.send_rows.bytes()}, send_counts,
                            {state_.rows.data() + x.bytes(), state_.rows.bytes() - x.bytes()},
                            receive_counts);
    return state_.rows.tensor(dtype, {next, hidden});
  }

  /// Puts the nodes of the own pairs into the send buffer, by the rank that adds their row up: for
  /// each of these [own nodes, its pairs, hidden]. Returns the bytes of each.
  std::vector<Bytes> sort_outputs(const Tensor& outputs) {
    const auto k = static_cast<std::size_t>(state_.part.config.per_token);
    const auto ranks = static_cast<std::size_t>(state_.group.size());
    const auto nodes = static_cast<std::size_t>(state_.part.own_nodes());
    const auto pairs = static_cast<std::size_t>(
        state_.order.pairs_of[static_cast<std::size_t>(state_.part.coordinates.part())]);
    std::vector<std::size_t> rank_of(pairs);  // of each own pair
    std::vector<std::size_t> count(ranks, 0);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const Range slice = state_.slice_of(static_cast<int>(rank));
      for (auto pair = static_cast<std::size_t>(slice.begin) * k;
           pair < static_cast<std::size_t>(slice.end) * k; ++pair) {
        const auto expert = static_cast<std::size_t>(state_.chosen[pair]);
        if (state_.part_of[expert] != state_.part.coordinates.part()) continue;
        rank_of[static_cast<std::size_t>(state_.order.position[pair])] = rank;
        ++count[rank];
      }
    }
    std::vector<std::size_t> next(ranks, 0);  // first free row of the rank's first node
    for (std::size_t rank = 1; rank < ranks; ++rank) {
      next[rank] = next[rank - 1] + nodes * count[rank - 1];
    }
    std::vector<std::int32_t> sent(nodes * pairs);  // rows of the outputs
    for (std::size_t pair = 0; pair < pairs; ++pair) {
      const std::size_t rank = rank_of[pair];
      for (std::size_t node = 0; node < nodes; ++node) {
        sent[next[rank] + node * count[rank]] = static_cast<std::int32_t>(node * pairs + pair);
      }
      ++next[rank];
    }
    state_.gather_rows(state_.as_rows(outputs.data(), outputs.bytes()), sent,
                       state_.as_rows(state_.send.data(), sent.size() * state_.row_bytes()));
    std::vector<Bytes> bytes;
    for (const std::size_t own : count) bytes.push_back(nodes * own * state_.row_bytes());
    return bytes;
  }

  DispatcherState& state_;
};

}  // namespace

std::unique_ptr<ExpertDispatcher> make_all_to_all_dispatcher(DispatcherState& state) {
  return std::make_unique<AllToAllDispatcher>(state);
}

}  // namespace weft
