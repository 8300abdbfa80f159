#include "model/forward/rank_candidates.h"

#include "base/error.h"
#include "ops/non_finite.h"

namespace weft {

std::vector<RankCandidate> best_of_ranks(std::span<const RankCandidate> mine,
                                         std::span<const Range> columns_of, Group& group) {
  std::vector<RankCandidate> all(mine.size() * static_cast<std::size_t>(group.size()));
  group.all_gather(std::as_bytes(mine), std::as_writable_bytes(std::span(all)),
                   equal_counts(group, mine.size_bytes()));
  std::vector<RankCandidate> candidates;
  for (std::size_t row = 0; row < mine.size(); ++row) {
    const RankCandidate* best = nullptr;
    bool odd = false;
    for (std::size_t rank = 0; rank < columns_of.size(); ++rank) {
      if (columns_of[rank].empty()) continue;
      const RankCandidate& candidate = all[rank * mine.size() + row];
      odd = odd || hostdevice::is_marked(candidate.token);
      if (best == nullptr || candidate.value > best->value) best = &candidate;
    }
    require(best != nullptr, "no rank holds any of the vocabulary");
    candidates.push_back(
        {best->value, hostdevice::marked_if(odd, hostdevice::unmarked(best->token))});
  }
  return candidates;
}

}  // namespace weft
