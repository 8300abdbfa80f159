// What the implementations of ExpertDispatcher have in common: groups, buffers, and where rows are.
#pragma once

#include <memory>
#include <vector>

#include "model/parallel/expert_dispatcher.h"
#include "model/parallel/pair_order.h"

namespace weft {

/// Outputs of up to this many bytes travel whole: latency counts, not bandwidth.
inline constexpr Bytes kDispatcherGatherLimit = Bytes{64} << 10;

/// Sizes of an exchange's buffers.
struct DispatcherSizes {
  Bytes rows = 0;       ///< [domains * M, hidden] w: rows brought together
  Bytes send_rows = 0;  ///< rows sorted by destination
  Bytes pair_rows = 0;  ///< [P] i32
  Bytes ends = 0;       ///< [own experts] i32
  Bytes node_rows = 0;  ///< [M, k, nodes] i32
  Bytes receive = 0;    ///< nodes of outputs
  Bytes send = 0;       ///< nodes of outputs sorted by destination
  Bytes index = 0;      ///< i32: what goes into a send buffer, or what has arrived
  Bytes slice = 0;      ///< this rank's finished rows

  static DispatcherSizes of(const MoePartition& part, const DispatcherShape& shape);
  [[nodiscard]] Bytes total() const {
    return rows + send_rows + pair_rows + ends + node_rows + receive + send + index + slice;
  }
};

struct DispatcherState {
  DispatcherState(const MoePartition& part, const DispatcherShape& shape, Ops& ops, Group& tp,
                  Group& experts);

  /// Learns the number of rows of every domain.
  void begin(std::int64_t rows);
  /// Learns the experts of every domain's rows and sorts the pairs.
  void route(const Tensor& experts);
  /// Of experts in one part: sorts the pairs where the operators run. `places` is that of
  /// Ops::sort_pairs.
  ExpertWork sort_in_place(const Tensor& x, const Tensor& experts, const Tensor& places);
  /// Uploads what `work` says of the own pairs: `row_in_x` is the row of x of each row among all
  /// domains' rows.
  void own_pairs(std::span<const std::int32_t> row_in_x, ExpertWork& work);
  /// Uploads, for each pair of `order` from its `first`-th on, [rows, k, nodes]: where its nodes
  /// stand when every rank's nodes of its pairs in `order` lie one behind the other.
  Tensor node_rows(const PairOrder& order, std::span<const std::int32_t> chosen, std::int64_t first,
                   std::int64_t rows);
  /// Every rank's nodes of its pairs in `order`, one behind the other: what all ranks of the group
  /// have in `outputs`, brought together.
  Tensor gather_outputs(const Tensor& outputs);
  /// Brings the domain's finished slices together in `sum`; `finished` is this rank's part of it.
  void gather_slices(const Tensor& finished, const Tensor& sum);
  /// to[i] = from[rows_from[i]], on the way into a send buffer.
  void gather_rows(const Tensor& from, std::span<const std::int32_t> rows_from, const Tensor& to);
  /// Bytes of nodes that rank `rank` of the expert group has of its pairs in `order`.
  [[nodiscard]] Bytes node_bytes(const PairOrder& order, int rank) const;

  [[nodiscard]] int part_of_rank(int rank) const { return rank / part.coordinates.sharers(); }
  [[nodiscard]] int domain_of_rank(int rank) const { return rank / part.coordinates.tp; }
  [[nodiscard]] std::int64_t own_rows() const {
    return rows_of[static_cast<std::size_t>(part.coordinates.domain())];
  }
  /// The rows, among all domains' rows, that a rank of the expert group sends and adds up.
  [[nodiscard]] Range slice_of(int rank) const;
  /// First of a domain's rows among all domains' rows.
  [[nodiscard]] std::int64_t first_row(int domain) const;
  [[nodiscard]] std::int64_t all_rows() const { return first_row(part.coordinates.domains()); }
  [[nodiscard]] std::span<const std::int32_t> chosen_by(std::int64_t row, std::int64_t rows) const;
  [[nodiscard]] Bytes row_bytes() const { return static_cast<Bytes>(shape.hidden) * sizeof(float); }
  [[nodiscard]] Bytes x_row_bytes() const {
    return static_cast<Bytes>(shape.hidden) * size_of(shape.dtype);
  }
  /// The nodes in `bytes` as rows.
  [[nodiscard]] Tensor as_rows(std::byte* bytes, Bytes size) const;

  const MoePartition& part;
  DispatcherShape shape;
  Ops& ops;
  Group& tp;
  Group& group;                  ///< the expert group
  std::unique_ptr<Group> cross;  ///< the ranks of other domains with this rank's place in theirs
  std::vector<int> part_of;      ///< of each expert

  std::vector<std::int64_t> rows_of;  ///< of each domain
  std::vector<std::int32_t> chosen;   ///< [all domains' rows, k]
  PairOrder order;                    ///< of all domains' rows

  Buffer rows;
  Buffer send_rows;
  Buffer pair_rows_buffer;
  Buffer ends_buffer;
  Buffer node_rows_buffer;
  Buffer receive;
  Buffer send;
  Buffer index;
  Buffer slice;
};

/// The implementations, over one state that has begun a step when they do; the first two for
/// experts in one part.
std::unique_ptr<ExpertDispatcher> make_one_part_dispatcher(DispatcherState& state);
std::unique_ptr<ExpertDispatcher> make_one_part_sliced_dispatcher(DispatcherState& state);
std::unique_ptr<ExpertDispatcher> make_gather_dispatcher(DispatcherState& state);
std::unique_ptr<ExpertDispatcher> make_all_to_all_dispatcher(DispatcherState& state);

}  // namespace weft
