// Where a rank stands: rank <-> (dp, pp, sp, tp). Pure arithmetic.
#pragma once

#include <cstdint>
#include <string>

namespace weft {

/// The largest axis that a job may ask for.
inline constexpr int kLargestAxis = 4096;

/// Sizes of the parallel axes. A replica is pp * sp * tp ranks; ep divides sp * tp.
struct Layout {
  int tp = 1;
  int pp = 1;
  int sp = 1;
  int ep = 1;
  int dp = 1;

  /// Ranks of one replica.
  [[nodiscard]] std::int64_t replica_size() const { return std::int64_t{pp} * sp * tp; }
  /// Ranks of the whole job.
  [[nodiscard]] std::int64_t world_size() const { return dp * replica_size(); }
  bool operator==(const Layout&) const = default;
};

/// "tp=2 pp=1 sp=1 ep=1 dp=4".
std::string to_string(const Layout& layout);

/// RankCoordinates of a rank on the four axes.
struct RankCoordinates {
  int dp = 0;
  int pp = 0;
  int sp = 0;
  int tp = 0;
  bool operator==(const RankCoordinates&) const = default;
};

/// tp varies fastest, then sp, pp, dp: the ranks of a tensor-parallel group are neighbours.
RankCoordinates coordinates_of(const Layout& layout, int rank);
int rank_of(const Layout& layout, const RankCoordinates& coordinates);

}  // namespace weft
