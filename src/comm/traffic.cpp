#include "comm/traffic.h"

#include <algorithm>

#include "base/error.h"

namespace weft {
namespace {

constexpr std::array kAxesInOrder = {Primitive::tp, Primitive::sp, Primitive::pp, Primitive::ep};
constexpr std::array kOperationsInOrder = {Operation::all_gather, Operation::all_to_all,
                                           Operation::broadcast, Operation::send,
                                           Operation::receive};

template <class Values, class Value>
std::size_t place_in(const Values& values, Value value) {
  const auto found = std::find(values.begin(), values.end(), value);
  require(found != values.end(), "no bytes travel along axis or in operation {}",
          static_cast<int>(value));
  return static_cast<std::size_t>(found - values.begin());
}

/// The sum of all counts but that of `rank`.
Bytes others(int rank, std::span<const Bytes> counts) {
  Bytes sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (static_cast<int>(i) != rank) sum += counts[i];
  }
  return sum;
}

}  // namespace

Transfer& Transfer::operator+=(const Transfer& other) {
  calls += other.calls;
  sent += other.sent;
  received += other.received;
  return *this;
}

Transfer& Transfer::operator-=(const Transfer& other) {
  calls -= other.calls;
  sent -= other.sent;
  received -= other.received;
  return *this;
}

std::span<const Primitive> communicating_axes() { return kAxesInOrder; }
std::span<const Operation> moving_operations() { return kOperationsInOrder; }

std::size_t Traffic::index_of(Primitive axis, Operation operation) {
  static_assert(kAxesInOrder.size() == kAxes && kOperationsInOrder.size() == kOperations);
  return place_in(kAxesInOrder, axis) * kOperations + place_in(kOperationsInOrder, operation);
}

Transfer& Traffic::at(Primitive axis, Operation operation) {
  return transfers_[index_of(axis, operation)];
}

const Transfer& Traffic::of(Primitive axis, Operation operation) const {
  return transfers_[index_of(axis, operation)];
}

Transfer Traffic::total(Primitive axis) const {
  Transfer sum;
  for (const Operation operation : moving_operations()) sum += of(axis, operation);
  return sum;
}

Traffic& Traffic::operator+=(const Traffic& other) {
  for (std::size_t i = 0; i < transfers_.size(); ++i) transfers_[i] += other.transfers_[i];
  return *this;
}

Traffic& Traffic::operator-=(const Traffic& other) {
  for (std::size_t i = 0; i < transfers_.size(); ++i) transfers_[i] -= other.transfers_[i];
  return *this;
}

Traffic& Traffic::operator*=(std::int64_t times) {
  for (Transfer& transfer : transfers_) {
    transfer.calls *= times;
    transfer.sent *= static_cast<Bytes>(times);
    transfer.received *= static_cast<Bytes>(times);
  }
  return *this;
}

void Traffic::all_gather(Primitive axis, int rank, std::span<const Bytes> counts) {
  if (counts.size() == 1) return;
  const auto peers = static_cast<Bytes>(counts.size() - 1);
  at(axis, Operation::all_gather) +=
      {1, peers * counts[static_cast<std::size_t>(rank)], others(rank, counts)};
}

void Traffic::all_to_all(Primitive axis, int rank, std::span<const Bytes> send_counts,
                         std::span<const Bytes> receive_counts) {
  if (send_counts.size() == 1) return;
  at(axis, Operation::all_to_all) += {1, others(rank, send_counts), others(rank, receive_counts)};
}

void Traffic::broadcast(Primitive axis, int rank, int ranks, Bytes bytes, int root) {
  if (ranks == 1) return;
  const bool sends = rank == root;
  at(axis, Operation::broadcast) +=
      {1, sends ? static_cast<Bytes>(ranks - 1) * bytes : 0, sends ? 0 : bytes};
}

void Traffic::send(Primitive axis, Bytes bytes) { at(axis, Operation::send) += {1, bytes, 0}; }

void Traffic::receive(Primitive axis, Bytes bytes) {
  at(axis, Operation::receive) += {1, 0, bytes};
}

}  // namespace weft
