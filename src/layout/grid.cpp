#include "layout/grid.h"

#include <fmt/format.h>

#include "base/error.h"

namespace weft {

std::string to_string(const Layout& layout) {
  return fmt::format("tp={} pp={} sp={} ep={} dp={}", layout.tp, layout.pp, layout.sp, layout.ep,
                     layout.dp);
}

Place place_of(const Layout& layout, int rank) {
  require(rank >= 0 && rank < layout.world_size(), "rank {} of {}", rank, layout.world_size());
  Place place;
  place.tp = rank % layout.tp;
  rank /= layout.tp;
  place.sp = rank % layout.sp;
  rank /= layout.sp;
  place.pp = rank % layout.pp;
  place.dp = rank / layout.pp;
  return place;
}

int rank_of(const Layout& layout, const Place& place) {
  return ((place.dp * layout.pp + place.pp) * layout.sp + place.sp) * layout.tp + place.tp;
}

}  // namespace weft
