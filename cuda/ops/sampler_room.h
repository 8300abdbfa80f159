// Where the pieces of a query, and of what is found for it, lie in a sampler's memory.
#pragma once

#include <cstdint>

#include "base/types.h"
#include "ops/row_sampler.h"

namespace weft {

// What a call may ask for: more is the host's.
inline constexpr std::int64_t kMostTop = kMostLikeliest;
inline constexpr std::int64_t kMostEdits = 1 << 17;
inline constexpr std::int64_t kMostListed = 1 << 16;

/// Offsets in bytes, each a multiple of 16. What is uploaded begins with the rows, what is
/// downloaded with the choices: both are as short as the query.
struct SamplerRoom {
  Bytes rows = 0;         ///< SamplingRequest [Q], then the edits and the lists of the query
  Bytes raw = 0;          ///< f32 [kMostEdits]
  Bytes maxima = 0;       ///< f32 [R, blocks]
  Bytes columns = 0;      ///< i32 [R, blocks]
  Bytes weight_sums = 0;  ///< f32 [Q, blocks]
  Bytes states = 0;       ///< SamplingRow [Q]
  Bytes results = 0;      ///< SamplingResult [Q], then ScoredToken [Q, n]
  Bytes bytes = 0;        ///< of it all

  /// For at most `max_rows` rows, of logits and of the query.
  static SamplerRoom of(std::int64_t max_rows, std::int64_t columns);
};

}  // namespace weft
