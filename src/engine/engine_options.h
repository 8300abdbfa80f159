// What an engine is told when it is made.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/request.h"
#include "engine/scheduler.h"

namespace weft {

struct EngineOptions {
  SchedulerLimits limits;
  std::int64_t max_sequence_length = 0;  ///< prompt and completion together
  bool digest = false;                   ///< compute logits digests
  std::vector<TokenId> eos;              ///< every one of them ends a sequence
  bool async_scheduling = true;  ///< submit a step before the tokens of the one before are known
};

}  // namespace weft
