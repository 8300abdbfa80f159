// Small messages between the service threads of all ranks.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "comm/mpi_api.h"

namespace weft {

/// A communicator of its own on which nobody waits: sending and receiving return at once. Used by
/// one thread at a time, beside a main thread that is inside MPI: see threads_may_call_mpi.
class Mailbox {
 public:
  struct Letter {
    int from = 0;
    std::vector<std::byte> bytes;
  };

  /// Over all ranks of the job; every rank must construct it at the same place.
  Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  /// Every rank must come here, unless an exception is on its way.
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

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  std::list<Sent> under_way_;
};

}  // namespace weft
