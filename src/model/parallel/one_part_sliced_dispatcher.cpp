// Experts in one part, many rows: each rank adds up a slice of the rows. How many outputs go where
// follows from the number of rows, so that the host needs no routes.
#include <numeric>

#include "model/parallel/expert_dispatcher_state.h"
#include "ops/ops.h"

namespace weft {
namespace {

class OnePartSlices final : public ExpertDispatcher {
 public:
  /// Rows of padding send what stands in the buffer, and are nobody's: let it be numbers.
  explicit OnePartSlices(DispatcherState& state) : state_(state) {
    const auto floats = static_cast<std::int64_t>(state.send.bytes() / sizeof(float));
    if (floats > 0) state.ops.clear(state.send.tensor(DType::f32, {floats}));
  }

  /// What arrives are the ranks' pairs of this rank's slice, one rank behind the other, the nodes
  /// of a pair together.
  void begin(std::int64_t rows) override {
    if (rows == rows_) return;  // nobody else writes there
    rows_ = rows;
    const std::int64_t pairs = state_.slice_of(state_.group.rank()).size() * per_token();
    std::vector<std::int32_t> places;
    places.reserve(static_cast<std::size_t>(pairs * state_.part.all_nodes()));
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      std::int64_t first = 0;  // of a rank's nodes
      for (int rank = 0; rank < state_.group.size(); ++rank) {
        for (std::int64_t node = 0; node < nodes_of(rank); ++node) {
          places.push_back(static_cast<std::int32_t>(first + pair * nodes_of(rank) + node));
        }
        first += pairs * nodes_of(rank);
      }
    }
    state_.ops.upload(std::as_bytes(std::span(places)), arrived());
  }

  ExpertWork dispatch(const Tensor& x, const Tensor& experts) override {
    return state_.sort_in_place(x, experts, own_places());
  }

  void combine(const Tensor& outputs, const Tensor& weights, const Tensor& sum) override {
    const Range mine = state_.slice_of(state_.group.rank());
    std::vector<Bytes> send_counts;
    std::vector<Bytes> receive_counts;
    for (int rank = 0; rank < state_.group.size(); ++rank) {
      send_counts.push_back(bytes_of(state_.slice_of(rank).size(), state_.part.own_nodes()));
      receive_counts.push_back(bytes_of(mine.size(), nodes_of(rank)));
    }
    const Bytes sent = bytes_of(state_.own_rows(), state_.part.own_nodes());
    const Bytes received = std::accumulate(receive_counts.begin(), receive_counts.end(), Bytes{0});
    state_.ops.gather_rows(state_.as_rows(outputs.data(), outputs.bytes()), own_places(),
                           state_.as_rows(state_.send.data(), sent));
    state_.group.all_to_all({state_.send.data(), sent}, send_counts,
                            {state_.receive.data(), received}, receive_counts);
    const Tensor finished = sum.slice(mine.begin, mine.end);
    const Tensor places(arrived().data(), DType::i32,
                        {mine.size(), per_token(), state_.part.all_nodes()});
    state_.ops.combine(state_.part.tree.nodes, state_.as_rows(state_.receive.data(), received),
                       places, weights.slice(mine.begin, mine.end), finished);
    state_.gather_slices(finished, sum);
  }

 private:
  [[nodiscard]] std::int64_t per_token() const { return state_.part.config.per_token; }
  [[nodiscard]] std::int64_t nodes_of(int rank) const {
    return static_cast<std::int64_t>(
        state_.part.tree.nodes_of[static_cast<std::size_t>(rank)].size());
  }
  [[nodiscard]] Bytes bytes_of(std::int64_t rows, std::int64_t nodes) const {
    return static_cast<Bytes>(rows * per_token() * nodes) * state_.row_bytes();
  }
  /// [own rows * k * own nodes] i32: where a pair's own nodes stand among the outputs.
  [[nodiscard]] Tensor own_places() const {
    return state_.node_rows_buffer.tensor(
        DType::i32, {state_.own_rows() * per_token() * state_.part.own_nodes()});
  }
  /// [rows of the slice * k * nodes] i32: where a pair's nodes stand in what has arrived.
  [[nodiscard]] Tensor arrived() const {
    return state_.index.tensor(DType::i32, {state_.slice_of(state_.group.rank()).size() *
                                            per_token() * state_.part.all_nodes()});
  }

  DispatcherState& state_;
  std::int64_t rows_ = -1;  ///< that the places of what arrives are for
};

}  // namespace

std::unique_ptr<ExpertDispatcher> make_one_part_sliced_dispatcher(DispatcherState& state) {
  return std::make_unique<OnePartSlices>(state);
}

}  // namespace weft
