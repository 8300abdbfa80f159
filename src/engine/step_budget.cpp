#include "engine/step_budget.h"

#include <algorithm>
#include <utility>

#include "layout/causal_split.h"

namespace weft {

StepBudget::StepBudget(std::vector<RankBudget> ranks) : ranks_(std::move(ranks)) {}

std::int64_t StepBudget::rows(int home, bool shared) const {
  if (at(home).turns == 0) return 0;
  if (!shared) return at(home).slices > 0 ? at(home).rows : 0;
  std::int64_t least = at(home).rows;
  for (const RankBudget& rank : ranks_) {
    if (rank.slices == 0) return 0;
    least = std::min(least, rank.rows);
  }
  // No rank gets more than ceil(rows / sp) of a split.
  return least * sp();
}

void StepBudget::take(int home, bool shared, std::int64_t rows) {
  --at(home).turns;
  if (!shared) {
    --at(home).slices;
    at(home).rows -= rows;
    return;
  }
  for (int rank = 0; rank < sp(); ++rank) {
    --at(rank).slices;
    at(rank).rows -= causal_row_count(rows, sp(), rank);
  }
}

bool StepBudget::full() const {
  return std::all_of(ranks_.begin(), ranks_.end(), [](const RankBudget& rank) {
    return rank.rows == 0 || rank.slices == 0 || rank.turns == 0;
  });
}

}  // namespace weft
