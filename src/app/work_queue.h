// What the ranks of a replica do next: their leader decides, the others are told.
#pragma once

#include <array>
#include <cstdint>

#include "base/types.h"
#include "comm/control/job_control.h"
#include "comm/group.h"

namespace weft {

/// A decision for one round of a replica's loop, the same on all its ranks.
struct StepDirective {
  bool stop = false;  ///< leave the loop now
  bool last = false;  ///< no more requests will come
  Range requests;     ///< newly granted, often none
};

/// One round costs each rank one small message, along a tree in which rank r hears of (r - 1) / 2.
/// Messages go from lower ranks to higher ones only, so that the first stage of a pipeline never
/// waits for a later one.
class WorkQueue {
 public:
  /// `group`: the ranks of the replica, with messages of its own. Both must outlive the work queue.
  WorkQueue(Group& group, JobControl& control) : group_(group), control_(control) {}

  /// The next orders. `wants`: the requests that this replica has in hand are running out; `idle`:
  /// nothing can be computed before more come. Equal on all ranks.
  StepDirective next(bool wants, bool idle);

 private:
  [[nodiscard]] StepDirective decide(bool wants, bool idle);
  void tell(StepDirective& directive);

  Group& group_;
  JobControl& control_;
  std::array<std::int64_t, 3> message_{};
};

}  // namespace weft
