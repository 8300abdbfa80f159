// Calls and bytes that travel along the axes of a replica: counted, or computed beforehand.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/types.h"
#include "comm/control/activity.h"
#include "layout/semantics.h"

namespace weft {

/// What one rank has sent and received in a kind of operation. Bytes are those of the messages as
/// the caller means them, without headers and whatever way the library sends them: a byte that goes
/// to n other ranks is sent n times, and what a rank keeps for itself does not count. So all ranks
/// of a group together receive what they send.
struct Transfer {
  std::int64_t calls = 0;
  Bytes sent = 0;
  Bytes received = 0;

  Transfer& operator+=(const Transfer& other);
  Transfer& operator-=(const Transfer& other);
  bool operator==(const Transfer&) const = default;
};

/// The axes that have a communicator: ep stands for the experts' exchange, among whatever ranks.
std::span<const Primitive> communicating_axes();
/// The operations in which bytes travel.
std::span<const Operation> moving_operations();

/// One rank's transfers, by axis and operation. Operations in a group of one do not count. Plain
/// bytes: it travels in messages.
class Traffic {
 public:
  [[nodiscard]] const Transfer& of(Primitive axis, Operation operation) const;
  /// Over all operations.
  [[nodiscard]] Transfer total(Primitive axis) const;
  Traffic& operator+=(const Traffic& other);
  /// For what was counted since `other`.
  Traffic& operator-=(const Traffic& other);
  /// For what happens so many times.
  Traffic& operator*=(std::int64_t times);
  bool operator==(const Traffic&) const = default;

  /// Adds an operation with the arguments that Group has, as rank `rank` of the group sees it.
  void all_gather(Primitive axis, int rank, std::span<const Bytes> counts);
  void all_to_all(Primitive axis, int rank, std::span<const Bytes> send_counts,
                  std::span<const Bytes> receive_counts);
  void broadcast(Primitive axis, int rank, int ranks, Bytes bytes, int root);
  /// Adds the start of a send, or a receive, between two ranks.
  void send(Primitive axis, Bytes bytes);
  void receive(Primitive axis, Bytes bytes);

 private:
  static constexpr std::size_t kAxes = 4;
  static constexpr std::size_t kOperations = 5;
  static std::size_t index_of(Primitive axis, Operation operation);
  Transfer& at(Primitive axis, Operation operation);

  std::array<Transfer, kAxes * kOperations> transfers_{};
};

}  // namespace weft
