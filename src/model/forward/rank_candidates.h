// The largest logit of a row whose columns are spread over ranks.
#pragma once

#include <span>
#include <vector>

#include "base/types.h"
#include "comm/group.h"
#include "ops/rank_merge.h"

namespace weft {

/// The candidate with the largest logit of each row, the lowest id among equals; its token is
/// marked (ops/non_finite.h) where that of any rank is. Every rank of the group gives its
/// candidates of the same rows; those of ranks without columns do not count. Operators with a
/// sampler do the same by RankMerge::take_best.
std::vector<RankCandidate> best_of_ranks(std::span<const RankCandidate> mine,
                                         std::span<const Range> columns_of, Group& group);

}  // namespace weft
