#include "plan/prediction.h"

#include <algorithm>

#include "base/error.h"

namespace weft {

RankTime least_time(const StepWork& work, const Traffic& traffic, const MachineLimits& limits,
                    const Layout& layout, int ranks_per_node) {
  RankTime time;
  time.compute =
      std::max(work.bytes / limits.read_bytes_per_second, work.flops / limits.flops_per_second);
  Transfer inside;
  Transfer outside;
  for (const Primitive axis : communicating_axes()) {
    const bool between_nodes =
        limits.between_bytes_per_second > 0 && !within_node(layout, axis, ranks_per_node);
    (between_nodes ? outside : inside) += traffic.total(axis);
  }
  const double calls = static_cast<double>(inside.calls + outside.calls);
  const double within = static_cast<double>(std::max(inside.sent, inside.received));
  const double between = static_cast<double>(std::max(outside.sent, outside.received));
  time.communication = calls * limits.call_seconds + within / limits.link_bytes_per_second;
  if (between > 0) time.communication += between / limits.between_bytes_per_second;
  return time;
}

StepPrediction predict(const PlannedStep& step, const Layout& layout,
                       const std::vector<Partition>& parts, const std::vector<Traffic>& traffic,
                       const MachineLimits& limits, int ranks_per_node) {
  require(!parts.empty() && parts.size() == traffic.size(), "{} parts, traffic of {}", parts.size(),
          traffic.size());
  std::vector<RankTime> stages(static_cast<std::size_t>(layout.pp));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const RankTime time =
        least_time(work_of(step.on_rank, parts[i]), traffic[i], limits, layout, ranks_per_node);
    RankTime& stage = stages[static_cast<std::size_t>(parts[i].stage.index)];
    if (time.total() > stage.total()) stage = time;
  }
  StepPrediction prediction;
  double slowest = 0;
  double travelling = 0;
  for (const RankTime& stage : stages) {
    prediction.seconds += stage.total();
    travelling += stage.communication;
    slowest = std::max(slowest, stage.total());
  }
  prediction.communication = travelling / prediction.seconds;
  prediction.tokens_per_second =
      static_cast<double>(layout.dp) * static_cast<double>(step.tokens(layout)) / slowest;
  return prediction;
}

SpeedPrediction predict_speed(const LayoutVerdict& verdict, const MachineLimits& limits,
                              bool digest, int ranks_per_node) {
  require(verdict.sizes.has_value(), "{} is not possible", to_string(verdict.layout));
  const EngineSizes& sizes = *verdict.sizes;
  SpeedPrediction speed;
  speed.decode_step = decode_step(sizes, verdict.layout);
  speed.prefill_step = prefill_step(sizes, verdict.layout);
  const auto predicted = [&](const PlannedStep& step) {
    return predict(step, verdict.layout, verdict.parts,
                   traffic_of(step, verdict.layout, verdict.parts, sizes.shape, digest), limits,
                   ranks_per_node);
  };
  speed.decode = predicted(speed.decode_step);
  speed.prefill = predicted(speed.prefill_step);
  return speed;
}

}  // namespace weft
