// What an engine is told when it is made.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"

namespace weft {

struct EngineOptions {
  SchedulerLimits limits;
  std::int64_t max_sequence_length = 0;  ///< prompt and completion together
  bool digest = false;                   ///< compute logits digests
  std::vector<TokenId> eos;              ///< every one of them ends a sequence
  std::int64_t max_draft = 0;  ///< tokens that a sequence may draft in a step; 0: none does
  /// Drafts at most `most` tokens that may follow those of a sequence, the same on every rank;
  /// nothing: prompt lookup.
  std::function<std::vector<TokenId>(const Sequence& sequence, std::int64_t most)> drafter;
  bool async_scheduling = true;  ///< submit a step before the tokens of the one before are known
};

}  // namespace weft
