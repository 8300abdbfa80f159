#include "plan/planned_step.h"

#include <algorithm>

#include "model/forward/batch.h"

namespace weft {
namespace {

/// `count` tokens: at equal distances in the vocabulary, where they are known.
std::vector<TokenId> tokens_of(std::int64_t count, bool kept, std::int64_t vocab) {
  std::vector<TokenId> tokens;
  for (std::int64_t i = 0; i < count; ++i) {
    tokens.push_back(kept ? device_token(static_cast<std::int32_t>(i))
                          : static_cast<TokenId>(i * vocab / count));
  }
  return tokens;
}

}  // namespace

PlannedStep decode_step(const EngineSizes& sizes, const Layout& layout) {
  const SchedulerLimits& limits = sizes.limits;
  PlannedStep step;
  step.on_rank.context = sizes.max_sequence_length / 2;
  step.on_rank.rows = 1;
  step.kept = sizes.async_scheduling;
  const std::int64_t room =
      limits.kv_blocks / ceil_div(step.on_rank.context + 1, limits.block_tokens);
  const std::int64_t running = std::clamp<std::int64_t>(room, 1, limits.max_sequences);
  step.on_rank.sequences = std::min(ceil_div(running, layout.pp), limits.max_batch_tokens);
  return step;
}

PlannedStep prefill_step(const EngineSizes& sizes, const Layout& layout) {
  const SchedulerLimits& limits = sizes.limits;
  const std::int64_t longest = std::max<std::int64_t>(1, sizes.max_sequence_length - 1);
  PlannedStep step;
  step.shared = layout.sp > 1 && longest >= limits.sp_threshold;
  const std::int64_t ranks = step.shared ? layout.sp : 1;
  // Of one prompt at a time, on each rank.
  const std::int64_t most = std::max<std::int64_t>(1, longest / ranks);
  step.on_rank.sequences = std::min(ceil_div(limits.max_batch_tokens, most), limits.max_sequences);
  step.on_rank.rows = std::min(most, limits.max_batch_tokens / step.on_rank.sequences);
  // A row of a shared prompt sees the other ranks' rows too, half of them on average.
  step.on_rank.context = (ranks - 1) * step.on_rank.rows / 2;
  return step;
}

StepRows rows_of_step(const StepCounts& step, const Layout& layout, const Partition& part) {
  const auto ranks = static_cast<std::size_t>(layout.sp);
  StepRows counts;
  counts.rows = step.rows;
  counts.looked_up = lookups_of(part, tokens_of(step.rows, step.kept, part.config.vocab));
  counts.shared.assign(ranks, step.shared);
  counts.samples.assign(ranks, step.shared > 0 ? 0 : step.samples);
  // The last run of a shared prompt is the first rank's.
  counts.samples.front() = step.samples;
  const MoePartition& moe = part.moe;
  if (part.config.has_experts()) {
    counts.domains.assign(static_cast<std::size_t>(moe.coordinates.domains()), step.rows);
    counts.layers_alike = true;
    counts.routes = {count_routes(
        moe, counts.domains, balanced_experts(moe.config, moe.coordinates.domains() * step.rows))};
  }
  return counts;
}

std::vector<Traffic> traffic_of(const PlannedStep& step, const Layout& layout,
                                const std::vector<Partition>& parts, const EngineShape& shape,
                                bool digest) {
  const std::int64_t rows = step.on_rank.tokens();
  const StepRows counts =
      rows_of_step({rows, step.on_rank.sequences, step.shared ? rows : 0, step.kept && !digest},
                   layout, parts.front());
  std::vector<Traffic> traffic;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t in_group = i % static_cast<std::size_t>(std::max(layout.tp, layout.ep));
    traffic.push_back(
        step_traffic(parts[i], shape, static_cast<int>(in_group) / layout.tp, counts, digest));
  }
  return traffic;
}

}  // namespace weft
