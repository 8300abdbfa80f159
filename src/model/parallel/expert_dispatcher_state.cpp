#include "model/parallel/expert_dispatcher_state.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "ops/ops.h"

namespace weft {

DispatcherSizes DispatcherSizes::of(const MoePartition& part, const DispatcherShape& shape) {
  const ExpertCoordinates& coordinates = part.coordinates;
  const std::int64_t m = shape.max_rows;
  const std::int64_t k = part.config.per_token;
  const auto floats = [&](std::int64_t rows) {
    return static_cast<Bytes>(rows * shape.hidden) * sizeof(float);
  };
  const auto operands = [&](std::int64_t rows) {
    return static_cast<Bytes>(rows * shape.hidden) * size_of(shape.dtype);
  };
  const auto indices = [](std::int64_t count) { return static_cast<Bytes>(count) * 4; };
  DispatcherSizes sizes;
  sizes.pair_rows = indices(part.most_pairs(m));
  sizes.ends = indices(part.experts.size());
  sizes.node_rows = indices(m * k * part.all_nodes());
  if (coordinates.ranks == 1) return sizes;
  const std::int64_t slice = ceil_div(m, coordinates.tp);
  if (coordinates.domains() > 1) sizes.rows = operands(coordinates.domains() * m);
  if (shape.transport != Transport::all_to_all) {
    const Bytes all = floats(coordinates.domains() * m * k * part.all_nodes());
    const bool limited = shape.transport == Transport::automatic;
    sizes.receive = limited ? std::min(all, kDispatcherGatherLimit) : all;
  }
  if (shape.transport != Transport::all_gather) {
    sizes.receive = std::max(sizes.receive, floats(slice * k * part.all_nodes()));
    const std::int64_t outputs = part.most_pairs(m) * part.own_nodes();
    sizes.send = floats(outputs);
    sizes.index = indices(coordinates.ep == 1 ? slice * k * part.all_nodes() : outputs);
    if (coordinates.tp > 1) sizes.slice = floats(slice);
    if (coordinates.domains() > 1) {
      const std::int64_t copies =
          slice * std::min<std::int64_t>(k, coordinates.ranks - coordinates.tp);
      sizes.send_rows = operands(copies);
      sizes.index = std::max(sizes.index, indices(copies));
    }
  }
  return sizes;
}

DispatcherState::DispatcherState(const MoePartition& part_, const DispatcherShape& shape_,
                                 Ops& ops_, Group& tp_, Group& experts_)
    : part(part_),
      shape(shape_),
      ops(ops_),
      tp(tp_),
      group(experts_),
      part_of(parts_of_experts(part_.config.experts, part_.coordinates.ep)) {
  const ExpertCoordinates& coordinates = part.coordinates;
  require(group.size() == coordinates.ranks && group.rank() == coordinates.rank &&
              tp.size() == coordinates.tp && tp.rank() == coordinates.rank % coordinates.tp,
          "an exchange for rank {} of {}, tp={}, in groups of {} and {}", coordinates.rank,
          coordinates.ranks, coordinates.tp, group.size(), tp.size());
  cross = coordinates.domains() > 1
              ? group.split(coordinates.rank % coordinates.tp, "ep across tp groups")
              : make_self_group();
  const DispatcherSizes sizes = DispatcherSizes::of(part, shape);
  rows = Buffer(ops.memory(), sizes.rows);
  send_rows = Buffer(ops.memory(), sizes.send_rows);
  pair_rows_buffer = Buffer(ops.memory(), sizes.pair_rows);
  ends_buffer = Buffer(ops.memory(), sizes.ends);
  node_rows_buffer = Buffer(ops.memory(), sizes.node_rows);
  receive = Buffer(ops.memory(), sizes.receive);
  send = Buffer(ops.memory(), sizes.send);
  index = Buffer(ops.memory(), sizes.index);
  slice = Buffer(ops.memory(), sizes.slice);
  rows_of.assign(static_cast<std::size_t>(coordinates.domains()), 0);
}

void DispatcherState::begin(std::int64_t own) {
  require(own <= shape.max_rows, "an exchange of {} rows, room for {}", own, shape.max_rows);
  cross->all_gather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(rows_of)),
                    equal_counts(*cross, sizeof own));
}

void DispatcherState::route(const Tensor& experts) {
  const std::int64_t k = part.config.per_token;
  require(experts.rows() == own_rows() && experts.row_elements() == k,
          "{} experts of {} rows where a step of {} rows began", experts.row_elements(),
          experts.rows(), own_rows());
  std::vector<std::int32_t> mine(static_cast<std::size_t>(own_rows() * k));
  ops.download(experts, std::as_writable_bytes(std::span(mine)));
  std::vector<Bytes> counts;
  for (const std::int64_t count : rows_of) counts.push_back(static_cast<Bytes>(count * k) * 4);
  chosen.resize(static_cast<std::size_t>(all_rows() * k));
  cross->all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(chosen)),
                    counts);
  order = order_pairs(chosen, part_of, part.coordinates.ep);
}

void DispatcherState::own_pairs(std::span<const std::int32_t> row_in_x, ExpertWork& work) {
  const auto k = static_cast<std::size_t>(part.config.per_token);
  const auto own = static_cast<std::size_t>(part.coordinates.part());
  std::vector<std::int32_t> pair_rows(static_cast<std::size_t>(order.pairs_of[own]));
  for (std::size_t pair = 0; pair < chosen.size(); ++pair) {
    if (part_of[static_cast<std::size_t>(chosen[pair])] != part.coordinates.part()) continue;
    pair_rows[static_cast<std::size_t>(order.position[pair])] = row_in_x[pair / k];
  }
  std::vector<std::int32_t> ends;
  for (std::int64_t expert = part.experts.begin; expert < part.experts.end; ++expert) {
    ends.push_back(static_cast<std::int32_t>(order.ends[static_cast<std::size_t>(expert)]));
  }
  work.rows = pair_rows_buffer.tensor(DType::i32, {static_cast<std::int64_t>(pair_rows.size())});
  work.ends = ends_buffer.tensor(DType::i32, {static_cast<std::int64_t>(ends.size())});
  ops.upload(std::as_bytes(std::span(pair_rows)), work.rows);
  ops.upload(std::as_bytes(std::span(ends)), work.ends);
}

ExpertWork DispatcherState::sort_in_place(const Tensor& x, const Tensor& experts,
                                          const Tensor& places) {
  const std::int64_t pairs = own_rows() * part.config.per_token;
  order.pairs_of.assign(1, pairs);
  ExpertWork work;
  work.x = x;
  work.rows = pair_rows_buffer.tensor(DType::i32, {pairs});
  work.ends = ends_buffer.tensor(DType::i32, {part.config.experts});
  ops.sort_pairs(experts, work.ends, work.rows, places);
  return work;
}

void DispatcherState::gather_slices(const Tensor& finished, const Tensor& sum) {
  if (tp.size() == 1) return;
  ops.copy(finished, slice.tensor(DType::f32, {finished.rows(), shape.hidden}));
  std::vector<Bytes> slices;
  for (int rank = 0; rank < tp.size(); ++rank) {
    const Range rows_of_rank = slice_of(part.coordinates.domain() * tp.size() + rank);
    slices.push_back(static_cast<Bytes>(rows_of_rank.size()) * row_bytes());
  }
  tp.all_gather({slice.data(), finished.bytes()}, {sum.data(), sum.bytes()}, slices);
}

Tensor DispatcherState::gather_outputs(const Tensor& outputs) {
  if (group.size() == 1) return as_rows(outputs.data(), outputs.bytes());
  std::vector<Bytes> counts;
  for (int rank = 0; rank < group.size(); ++rank) counts.push_back(node_bytes(order, rank));
  const Bytes all = std::accumulate(counts.begin(), counts.end(), Bytes{0});
  require(all <= receive.bytes(), "an exchange of {} bytes, room for {}", all, receive.bytes());
  group.all_gather({outputs.data(), outputs.bytes()}, {receive.data(), all}, counts);
  return as_rows(receive.data(), all);
}

void DispatcherState::gather_rows(const Tensor& from, std::span<const std::int32_t> rows_from,
                                  const Tensor& to) {
  const Tensor list = index.tensor(DType::i32, {static_cast<std::int64_t>(rows_from.size())});
  ops.upload(std::as_bytes(rows_from), list);
  ops.gather_rows(from, list, to);
}

Bytes DispatcherState::node_bytes(const PairOrder& pairs, int rank) const {
  const auto sharer = static_cast<std::size_t>(rank % part.coordinates.sharers());
  const auto count = pairs.pairs_of[static_cast<std::size_t>(part_of_rank(rank))];
  return part.tree.nodes_of[sharer].size() * static_cast<Bytes>(count) * row_bytes();
}

Tensor DispatcherState::node_rows(const PairOrder& pairs, std::span<const std::int32_t> experts,
                                  std::int64_t first, std::int64_t count) {
  const std::int64_t k = part.config.per_token;
  const int sharers = part.coordinates.sharers();
  std::vector<std::int64_t> base;  // of each rank's nodes, in rows
  std::int64_t end = 0;
  for (int rank = 0; rank < group.size(); ++rank) {
    base.push_back(end);
    end += static_cast<std::int64_t>(node_bytes(pairs, rank) / row_bytes());
  }
  std::vector<std::int32_t> places;
  places.reserve(static_cast<std::size_t>(count * k * part.all_nodes()));
  for (std::int64_t pair = first * k; pair < (first + count) * k; ++pair) {
    const auto at = static_cast<std::size_t>(pair);
    const auto home = static_cast<std::size_t>(part_of[static_cast<std::size_t>(experts[at])]);
    for (int sharer = 0; sharer < sharers; ++sharer) {
      const std::int64_t from =
          base[home * static_cast<std::size_t>(sharers) + static_cast<std::size_t>(sharer)];
      const auto nodes =
          static_cast<std::int64_t>(part.tree.nodes_of[static_cast<std::size_t>(sharer)].size());
      for (std::int64_t node = 0; node < nodes; ++node) {
        places.push_back(
            static_cast<std::int32_t>(from + node * pairs.pairs_of[home] + pairs.position[at]));
      }
    }
  }
  const Tensor to = node_rows_buffer.tensor(DType::i32, {static_cast<std::int64_t>(places.size())});
  ops.upload(std::as_bytes(std::span(places)), to);
  return to;
}

Range DispatcherState::slice_of(int rank) const {
  const int domain = domain_of_rank(rank);
  const std::int64_t count = rows_of[static_cast<std::size_t>(domain)];
  const std::int64_t first = first_row(domain);
  const std::int64_t coordinates = rank % part.coordinates.tp;
  return {first + coordinates * count / part.coordinates.tp,
          first + (coordinates + 1) * count / part.coordinates.tp};
}

std::int64_t DispatcherState::first_row(int domain) const {
  std::int64_t first = 0;
  for (int d = 0; d < domain; ++d) first += rows_of[static_cast<std::size_t>(d)];
  return first;
}

std::span<const std::int32_t> DispatcherState::chosen_by(std::int64_t row,
                                                         std::int64_t count) const {
  const auto k = static_cast<std::size_t>(part.config.per_token);
  return std::span(chosen).subspan(static_cast<std::size_t>(row) * k,
                                   static_cast<std::size_t>(count) * k);
}

Tensor DispatcherState::as_rows(std::byte* bytes, Bytes size) const {
  return {bytes, DType::f32, {static_cast<std::int64_t>(size / row_bytes()), shape.hidden}};
}

}  // namespace weft
