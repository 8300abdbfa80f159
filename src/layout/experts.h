// Which experts, and which part of each, a rank computes. Pure arithmetic.
#pragma once

#include <cstdint>

#include "base/types.h"
#include "layout/grid.h"

namespace weft {

/// A rank's place in its expert group: the ranks of one stage that share one set of a layer's
/// experts. They are max(tp, ep) ranks: those of one tensor-parallel group, or, with ep > tp, of
/// ep / tp neighbouring ones (along sp), group by group.
///
/// The experts are spread over ep parts; the ranks / ep ranks of a part share each of its experts,
/// cut along K of the down projection. Either ep or tp is a multiple of the other.
struct ExpertCoordinates {
  int rank = 0;   ///< in the expert group
  int ranks = 1;  ///< of the expert group
  int ep = 1;     ///< parts that the experts are spread over
  int tp = 1;     ///< ranks of a tensor-parallel group: they have the same tokens

  /// Ranks that share each expert.
  [[nodiscard]] int sharers() const { return ranks / ep; }
  /// Which part of the experts this rank works on, and its number among the part's ranks.
  [[nodiscard]] int part() const { return rank / sharers(); }
  [[nodiscard]] int sharer() const { return rank % sharers(); }
  /// Tensor-parallel groups of the expert group; each has tokens of its own.
  [[nodiscard]] int domains() const { return ranks / tp; }
  [[nodiscard]] int domain() const { return rank / tp; }
};

/// The experts of part `part` of `parts`: floor(p*E/n) … floor((p+1)*E/n)-1.
Range experts_of(std::int64_t experts, int part, int parts);

/// The place of a rank that stands at `place` of a legal layout.
ExpertCoordinates expert_coordinates(const Layout& layout, const RankCoordinates& coordinates);

/// The number of its expert group among those of its stage: a colour to split the stage's ranks by.
int expert_group_of(const Layout& layout, const RankCoordinates& coordinates);

}  // namespace weft
