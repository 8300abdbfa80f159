#include "layout/grid.h"

#include <fmt/format.h>

#include "base/error.h"

namespace weft {

std::string to_string(const Layout& layout) {
  return fmt::format("tp={} pp={} sp={} ep={} dp={}", layout.tp, layout.pp, layout.sp, layout.ep,
                     layout.dp);
}

RankCoordinates coordinates_of(const Layout& layout, int rank) {
  require(rank >= 0 && rank < layout.world_size(), "rank {} of {}", rank, layout.world_size());
  RankCoordinates coordinates;
  coordinates.tp = rank % layout.tp;
  rank /= layout.tp;
  coordinates.sp = rank % layout.sp;
  rank /= layout.sp;
  coordinates.pp = rank % layout.pp;
  coordinates.dp = rank / layout.pp;
  return coordinates;
}

int rank_of(const Layout& layout, const RankCoordinates& coordinates) {
  return ((coordinates.dp * layout.pp + coordinates.pp) * layout.sp + coordinates.sp) * layout.tp +
         coordinates.tp;
}

}  // namespace weft
