// The communicator interface: it moves bytes and never adds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/types.h"

namespace weft {

using ByteView = std::span<const std::byte>;
using ByteSpan = std::span<std::byte>;

/// Numbers the sends that a rank starts in a group, from 1 on. 0 is none of them.
using SendTicket = std::uint64_t;
inline constexpr SendTicket kAllSends = std::numeric_limits<SendTicket>::max();

/// A group of ranks that call the same operations in the same order. Every call blocks until this
/// rank's part is done; buffers are host memory. Failures throw Error.
class Group {
 public:
  virtual ~Group() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;

  /// Rank i's `send` (counts[i] bytes) comes to stand behind those of ranks 0…i-1 in every rank's
  /// `recv`. `counts` is equal on all ranks.
  virtual void all_gather(ByteView send, ByteSpan recv, std::span<const Bytes> counts) = 0;

  /// The i-th piece of `send` (send_counts[i] bytes, pieces one behind the other) goes to rank i;
  /// the piece from rank i (recv_counts[i] bytes) comes to stand i-th in `recv`.
  virtual void all_to_all(ByteView send, std::span<const Bytes> send_counts, ByteSpan recv,
                          std::span<const Bytes> recv_counts) = 0;

  /// The bytes of rank `root` overwrite those of all others.
  virtual void broadcast(ByteSpan bytes, int root) = 0;

  /// Starts sending `bytes` to rank `to` and returns at once. They must stay as they are until the
  /// send is finished. Messages between two ranks arrive in the order in which they were sent.
  virtual SendTicket start_send(ByteView bytes, int to) = 0;
  /// Returns when the send `last` and all that this rank has started before are on their way or
  /// received: their bytes may be overwritten. May wait until the receivers have called `receive`.
  virtual void finish_sends(SendTicket last = kAllSends) = 0;
  /// Fills `bytes` with the next message of rank `from`, which must be as long.
  virtual void receive(ByteSpan bytes, int from) = 0;

  /// Returns when all ranks have called it.
  virtual void barrier() = 0;

  /// Memory for buffers that travel through this group again and again, where there is one from
  /// which they do so faster; null where any memory does. Taking from it returns when all ranks
  /// take: in the same order, not as many bytes, but never none. What is taken must be given back
  /// before the group ends.
  virtual Memory* message_memory() { return nullptr; }

  /// The ranks that gave the same colour form a new group, ordered by their rank in this one.
  /// `name` says in messages what the group is for: "tp".
  virtual std::unique_ptr<Group> split(int color, const std::string& name) = 0;
  std::unique_ptr<Group> split(int color) { return split(color, "part"); }
};

/// A group of one.
std::unique_ptr<Group> make_self_group();

/// Bytes of this rank and its peers when everybody has `count` of them.
inline std::vector<Bytes> equal_counts(const Group& group, Bytes count) {
  return std::vector<Bytes>(static_cast<std::size_t>(group.size()), count);
}

/// Every rank's string, by rank.
std::vector<std::string> gather_strings(Group& group, const std::string& text);

}  // namespace weft
