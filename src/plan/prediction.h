// How fast steps can be at best: a roofline over what has to be read, computed and sent.
#pragma once

#include <vector>

#include "comm/traffic.h"
#include "plan/layout_table.h"
#include "plan/machine_limits.h"
#include "plan/planned_step.h"
#include "plan/step_work.h"
#include "plan/topology.h"

namespace weft {

/// The least time of one rank's part of a step.
struct RankTime {
  double compute = 0;        ///< the slower one of reading and computing; they overlap
  double communication = 0;  ///< behind it: the engine computes nothing while bytes travel

  [[nodiscard]] double total() const { return compute + communication; }
};

/// Reading or computing at the limit, then every call and, along each axis, the slower direction of
/// its link: the one between nodes where the axis of `layout` spans nodes.
RankTime least_time(const StepWork& work, const Traffic& traffic, const MachineLimits& limits,
                    const Layout& layout = {}, int ranks_per_node = kOneNode);

/// A kind of step of a whole job, at best.
struct StepPrediction {
  double seconds = 0;            ///< through all stages, one after the other
  double communication = 0;      ///< the share of these seconds in which bytes travel, 0 to 1
  double tokens_per_second = 0;  ///< of all replicas, with every stage always busy
};

/// Predicts a step whose ranks do `work` and send `traffic`, both by part (see partitions_of). The
/// slowest rank of a stage makes its time, the slowest stage makes the rate.
StepPrediction predict(const PlannedStep& step, const Layout& layout,
                       const std::vector<Partition>& parts, const std::vector<Traffic>& traffic,
                       const MachineLimits& limits, int ranks_per_node = kOneNode);

/// Both kinds of a possible layout.
struct SpeedPrediction {
  PlannedStep decode_step;
  PlannedStep prefill_step;
  StepPrediction decode;
  StepPrediction prefill;
};
SpeedPrediction predict_speed(const LayoutVerdict& verdict, const MachineLimits& limits,
                              bool digest, int ranks_per_node = kOneNode);

}  // namespace weft
