// What a step can still take, on each sp rank.
#pragma once

#include <cstdint>
#include <vector>

namespace weft {

/// What a step may hold of one sp rank.
struct RankBudget {
  std::int64_t rows = 0;
  std::int64_t slices = 0;  ///< of sequences at home there, and of shared ones from anywhere
  std::int64_t turns = 0;   ///< sequences at home there
};

/// Counts down while a step is put together. A slice is taken by its home, or by all ranks
/// when it is shared; its rows are then split as in layout/causal_split.h.
class StepBudget {
 public:
  explicit StepBudget(std::vector<RankBudget> ranks);

  /// The most rows that a slice may have; 0 when none fits.
  [[nodiscard]] std::int64_t rows(int home, bool shared) const;
  void take(int home, bool shared, std::int64_t rows);

  /// No rank can take another slice.
  [[nodiscard]] bool full() const;

 private:
  [[nodiscard]] RankBudget& at(int rank) { return ranks_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const RankBudget& at(int rank) const {
    return ranks_[static_cast<std::size_t>(rank)];
  }
  [[nodiscard]] int sp() const { return static_cast<int>(ranks_.size()); }

  std::vector<RankBudget> ranks_;
};

}  // namespace weft
