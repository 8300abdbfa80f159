#include "comm/replica_groups.h"

#include "base/error.h"
#include "comm/counting_group.h"
#include "layout/experts.h"

namespace weft {
namespace {

Layout one_replica(Layout layout) {
  layout.dp = 1;
  return layout;
}

}  // namespace

ReplicaGroups::ReplicaGroups(Group& replica, const Layout& layout)
    : replica_(replica), layout_(one_replica(layout)) {
  require(replica.size() == layout_.replica_size(), "{} in a group of {} ranks", to_string(layout_),
          replica.size());
  coordinates_ = coordinates_of(layout_, replica.rank());
  // Ranks with equal other coordinates form a group; its order is that of the replica's ranks.
  const auto along = [&](const char* axis, int size, int color) {
    return size == 1 ? make_self_group() : replica.split(color, axis);
  };
  tp_ = along("tp", layout_.tp, coordinates_.pp * layout_.sp + coordinates_.sp);
  sp_ = along("sp", layout_.sp, coordinates_.pp * layout_.tp + coordinates_.tp);
  pp_ = along("pp", layout_.pp, coordinates_.sp * layout_.tp + coordinates_.tp);
  if (layout_.ep > layout_.tp) {
    const int groups_of_stage = layout_.sp * layout_.tp / layout_.ep;
    experts_ = replica.split(
        coordinates_.pp * groups_of_stage + expert_group_of(layout_, coordinates_), "ep");
  }
  const auto counted = [&](Group& group, Primitive axis) {
    return make_counting_group(group, axis, traffic_);
  };
  counted_tp_ = counted(*tp_, Primitive::tp);
  counted_sp_ = counted(*sp_, Primitive::sp);
  counted_pp_ = counted(*pp_, Primitive::pp);
  counted_experts_ = counted(experts_ ? *experts_ : *tp_, Primitive::ep);
}

}  // namespace weft
