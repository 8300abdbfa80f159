// Bytes per rank: what `weft plan` prints and what the engine allocates by.
#pragma once

#include <cstdint>

#include "cache/kv_cache.h"
#include "model/forward/workspace.h"
#include "model/parallel/partition.h"
#include "model/parallel/tensor_parallel_region.h"
#include "ops/op_sizes.h"

namespace weft {

/// Sizes that the job chooses.
struct EngineShape {
  StepShape step;
  std::int64_t block_tokens = 32;
  std::int64_t kv_blocks = 0;
  Transport transport = Transport::automatic;
  int sp = 1;                    ///< ranks that share the tokens of long prompts
  bool async_scheduling = true;  ///< steps may read tokens that no host knows, where that is of use
};

/// What one rank holds.
struct Footprint {
  Bytes weights = 0;
  Bytes kv_cache = 0;
  Bytes activations = 0;
  /// Communication, experts' rows, logits brought together, scratch, recorded steps.
  Bytes buffers = 0;
  Bytes recorded = 0;  ///< the last of them: reckoned, and not from `ops.memory()`

  [[nodiscard]] Bytes total() const { return weights + kv_cache + activations + buffers; }
};

/// Shape of the rank's key/value cache.
KvShape kv_shape(const Partition& part, std::int64_t block_tokens, std::int64_t kv_blocks);

/// Room that the rank's region needs.
RegionShape region_shape(const Partition& part, const EngineShape& shape, const OpSizes& ops);

/// Input features of the rank's widest product.
std::int64_t largest_k(const Partition& part);

/// Exactly the bytes that a `Model` of these shapes takes from `ops.memory()`, and what it is
/// reckoned to take for recorded steps.
Footprint footprint_of(const Partition& part, const EngineShape& shape, const OpSizes& ops);

}  // namespace weft
