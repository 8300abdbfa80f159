// Drafts of what a sequence goes on with, from its own text.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"

namespace weft {

/// Drafts tokens by prompt lookup (Saxena, "Prompt lookup decoding", 2023): it finds where the end
/// of a sequence occurred before, the longest end and of equal ones the latest place, and proposes
/// what followed there. A function of the tokens and of the calls alone, without a clock: every
/// rank of a replica drafts the same.
///
/// How much it drafts follows from what was accepted: twice as much after a draft that was accepted
/// as a whole, else one more than was accepted; after several in a row of which nothing was, it
/// rests for twice as many steps each time.
class PromptLookup {
 public:
  /// What follows `tokens`, at most `most` of them; empty where their end did not occur before, or
  /// while it rests.
  std::vector<TokenId> draft(std::span<const TokenId> tokens, std::int64_t most);

  /// Tells how much of the latest draft was accepted.
  void verified(std::int64_t drafted, std::int64_t accepted);

 private:
  std::int64_t length_ = 4;  ///< of the next draft
  int misses_ = 0;           ///< drafts in a row of which nothing was accepted
  std::int64_t rest_ = 0;    ///< steps without a draft to come
};

}  // namespace weft
