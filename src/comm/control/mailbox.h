// Small messages between the service threads of all ranks.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "comm/mpi_api.h"

namespace weft {

/// Letters on which nobody waits: sending and receiving return at once. Used by one thread at a
/// time, beside a main thread that is inside MPI: see threads_may_call_mpi. They travel on
/// MPI_COMM_WORLD, where nothing else does: a communicator of their own would have to be made by
/// all ranks together, and one that has stopped by then would keep the others from noticing.
class Mailbox {
 public:
  struct Letter {
    int from = 0;
    std::vector<std::byte> bytes;
  };

  /// Over all ranks of the job, at any time after MPI has started. One at a time.
  Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox();

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }

  /// Starts sending. Letters between two ranks arrive in the order in which they were sent.
  void send(std::span<const std::byte> bytes, int to);
  /// Whether an earlier letter to that rank is still under way.
  [[nodiscard]] bool busy(int to) const;
  /// The next letter that has arrived, if any.
  std::optional<Letter> receive();
  /// Lets MPI work on what was sent; true when nothing is under way any more.
  bool all_sent();

 private:
  struct Sent {
    int to = 0;
    MPI_Request request = MPI_REQUEST_NULL;
    std::vector<std::byte> bytes;
  };

  MPI_Comm comm_ = MPI_COMM_WORLD;
  int rank_ = 0;
  int size_ = 1;
  std::list<Sent> under_way_;
};

}  // namespace weft
