// Tokens that were chosen in a step and stay where the operators run, for the next step to read.
#pragma once

#include <cstdint>

#include "base/buffer.h"
#include "model/footprint.h"
#include "model/forward/step_indices.h"
#include "model/parallel/partition.h"
#include "ops/op_sizes.h"

namespace weft {

class Ops;

/// There are some where operators choose tokens, a replica is one stage, so its first layers read
/// what its last ones yield, and hosts need not wait for routes of experts in the middle of a step.
/// Each rank keeps those of the rows that it computes.
class DeviceTokens {
 public:
  /// Places for all sequences of a step. `ops` must outlive it.
  DeviceTokens(const Partition& part, const EngineShape& shape, Ops& ops);

  /// How many there are; 0 where none can be kept.
  static std::int64_t count(const Partition& part, const EngineShape& shape, const OpSizes& ops);
  /// Bytes that it takes from the operators' memory.
  static Bytes bytes(const Partition& part, const EngineShape& shape, const OpSizes& ops);

  /// Whether tokens can be kept here.
  [[nodiscard]] bool possible() const { return buffer_.bytes() > 0; }
  /// [sequences] i32; undefined where none can be kept.
  [[nodiscard]] Tensor places() const { return places_; }

  /// What the index arrays of a step name by `kept_token`s becomes the tokens kept there. Throws
  /// Error where none can be kept.
  void put_into(const TableLookup& lookup, const StepIndices& indices) const;

 private:
  Ops& ops_;
  Range own_;  ///< tokens whose rows of the embedding table this rank holds
  Buffer buffer_;
  Tensor places_;
};

}  // namespace weft
