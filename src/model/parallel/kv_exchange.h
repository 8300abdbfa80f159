// Sequence parallelism's only exchange: keys and values of the rows that several ranks share.
#pragma once

#include <cstdint>

#include "base/buffer.h"
#include "comm/group.h"
#include "model/forward/batch.h"
#include "model/parallel/partition.h"
#include "ops/views.h"

namespace weft {

class Ops;

/// Brings the keys and values of shared prompt rows into the cache of every sp rank, layer by
/// layer. Rows that are not shared, all of decode among them, never pass through here: they are not
/// in `SharedRows`.
class KvExchange {
 public:
  /// Room for `max_rows` own rows. `group` are the sp ranks; it and `ops` must outlive this.
  KvExchange(const Partition& part, std::int64_t max_rows, Ops& ops, Group& group);

  /// Bytes that it takes: nothing for one rank.
  static Bytes bytes(const Partition& part, std::int64_t max_rows, int ranks);

  /// Bytes that come together in its largest exchange.
  static Bytes message_bytes(const Partition& part, std::int64_t max_rows, int ranks);

  /// Announces the rows of the next step; the same numbers on all ranks.
  void begin(const SharedRows& rows);

  /// Every rank's own rows, which are in its cache already, come into the caches of the others.
  /// Nothing happens in a step without shared rows.
  void exchange(const KvLayer& cache);

 private:
  struct Sizes {
    Bytes slots = 0;
    Bytes send = 0;
    Bytes receive = 0;
  };
  static Sizes sizes_of(const Partition& part, std::int64_t max_rows, int ranks);

  Ops& ops_;
  Group& group_;
  DType dtype_;
  std::int64_t row_elements_;  ///< keys and values of a row
  std::int64_t total_ = 0;     ///< shared rows of all ranks
  Range own_;                  ///< this rank's among them
  std::vector<Bytes> counts_;  ///< bytes of each rank's rows
  Buffer slots_;               ///< [ranks * max_rows] i32: slots of all rows, rank by rank
  Buffer send_;                ///< [max_rows, row_elements] w
  Buffer receive_;             ///< [ranks * max_rows, row_elements] w
};

}  // namespace weft
