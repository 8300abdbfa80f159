#include "model/forward/rank_candidates.h"

#include "base/error.h"

namespace weft {

std::vector<TokenId> best_of_ranks(std::span<const RankCandidate> mine,
                                   std::span<const Range> columns_of, Group& group) {
  std::vector<RankCandidate> all(mine.size() * static_cast<std::size_t>(group.size()));
  group.all_gather(std::as_bytes(mine), std::as_writable_bytes(std::span(all)),
                   equal_counts(group, mine.size_bytes()));
  std::vector<TokenId> tokens;
  for (std::size_t row = 0; row < mine.size(); ++row) {
    const RankCandidate* best = nullptr;
    for (std::size_t rank = 0; rank < columns_of.size(); ++rank) {
      if (columns_of[rank].empty()) continue;
      const RankCandidate& candidate = all[rank * mine.size() + row];
      if (best == nullptr || candidate.value > best->value) best = &candidate;
    }
    require(best != nullptr, "no rank holds any of the vocabulary");
    tokens.push_back(best->token);
  }
  return tokens;
}

}  // namespace weft
