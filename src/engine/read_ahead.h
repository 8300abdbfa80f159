// How many requests a replica has in hand beside those that it computes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/scheduler.h"

namespace weft {

/// How many waiting requests the scheduler should find: as many as one step could admit. More would
/// only keep them from replicas that finish early.
inline std::int64_t read_ahead(const SchedulerLimits& limits) {
  constexpr std::int64_t kShortPrompt = 32;  // a step of prompts this long is full
  constexpr std::int64_t kFewest = 8;
  return std::min(limits.max_sequences, std::max(kFewest, limits.max_batch_tokens / kShortPrompt));
}

}  // namespace weft
