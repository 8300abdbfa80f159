// The groups along the axes of a replica that one of its ranks belongs to.
#pragma once

#include <memory>

#include "comm/group.h"
#include "comm/traffic.h"
#include "layout/grid.h"

namespace weft {

/// Splits a replica's group along its axes. Every rank of the replica must construct it.
class ReplicaGroups {
 public:
  /// `replica` has layout.replica_size() ranks, ordered as in layout/grid.h, and must outlive this.
  /// Throws Error when the sizes differ.
  ReplicaGroups(Group& replica, const Layout& layout);

  /// This rank's place; `dp` is 0.
  [[nodiscard]] const RankCoordinates& coordinates() const { return coordinates_; }
  [[nodiscard]] const Layout& layout() const { return layout_; }
  /// All ranks of the replica.
  [[nodiscard]] Group& all() { return replica_; }
  /// Ranks that compute the same tokens and layers together.
  [[nodiscard]] Group& tp() { return *counted_tp_; }
  /// Ranks that share the tokens of long prompts; group rank = place().sp.
  [[nodiscard]] Group& sp() { return *counted_sp_; }
  /// Ranks that share one set of a layer's experts (see ExpertCoordinates): the tp ranks, or those
  /// of several sp ranks.
  [[nodiscard]] Group& experts() { return *counted_experts_; }
  /// The stages; group rank = place().pp.
  [[nodiscard]] Group& pp() { return *counted_pp_; }
  /// What has travelled so far in the groups along the axes.
  [[nodiscard]] const Traffic& traffic() const { return traffic_; }
  /// For what travels without the groups being asked: in steps that are repeated.
  [[nodiscard]] Traffic& traffic() { return traffic_; }

 private:
  Group& replica_;
  Layout layout_;
  RankCoordinates coordinates_;
  std::unique_ptr<Group> tp_;
  std::unique_ptr<Group> sp_;
  std::unique_ptr<Group> pp_;
  std::unique_ptr<Group> experts_;  ///< null: the tp group
  Traffic traffic_;
  std::unique_ptr<Group> counted_tp_;
  std::unique_ptr<Group> counted_sp_;
  std::unique_ptr<Group> counted_pp_;
  std::unique_ptr<Group> counted_experts_;  ///< the tp group's operations count as tp's elsewhere
};

}  // namespace weft
