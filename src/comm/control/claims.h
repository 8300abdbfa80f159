// Who computes which requests: replicas claim ranges of the prompt file as they go.
#pragma once

#include <cstdint>
#include <vector>

#include "base/types.h"

namespace weft {

/// What a claim brings.
struct Grant {
  enum class Answer : std::uint8_t {
    rows,       ///< `rows` are the replica's
    later,      ///< others need what is left more: claim again in a while
    exhausted,  ///< everything is granted
  };
  Answer answer = Answer::exhausted;
  Range rows;  ///< may span requests that earlier runs have done: those are passed over
};

/// The requests of a job that nobody has claimed yet. Knows no MPI; one thread uses it at a time.
///
/// Guided self-scheduling (Polychronopoulos and Kuck, 1987): a claim gets 1/(2 replicas) of what is
/// left, up to a limit, so pieces are large at first, which keeps requests that share a prefix
/// together, and small in the end. Nobody gets more than would level the replicas' unfinished
/// requests: else the first to ask would take the whole of a small job. Grants ascend, so a replica
/// reads the prompt file forward; each request is granted once.
class ClaimTable {
 public:
  ClaimTable() = default;
  /// `open`: ascending, disjoint ranges of requests without a row.
  ClaimTable(std::vector<Range> open, int replicas);

  /// A piece for a replica that has finished `finished` requests in this run.
  Grant claim(int replica, std::int64_t finished);
  /// News of a replica, from its heartbeats.
  void note_finished(int replica, std::int64_t finished);

  [[nodiscard]] std::int64_t unclaimed() const { return unclaimed_; }

 private:
  Range take(std::int64_t count);

  struct Replica {
    std::int64_t granted = 0;
    std::int64_t finished = 0;
  };

  std::vector<Range> open_;
  std::size_t next_ = 0;  ///< the first range of open_ that is not used up
  std::int64_t unclaimed_ = 0;
  std::vector<Replica> replicas_;
};

/// The share of one replica where nothing can be claimed: every request whose index is `replica`
/// modulo `replicas`, one at a time.
class StaticShare {
 public:
  StaticShare() = default;
  StaticShare(const std::vector<Range>& open, int replica, int replicas);

  Grant next();

 private:
  std::vector<std::int64_t> rows_;
  std::size_t next_ = 0;
};

}  // namespace weft
