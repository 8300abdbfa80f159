#include "plan/sizing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "model/forward/device_tokens.h"
#include "model/forward/ffn.h"
#include "model/parallel/kv_exchange.h"
#include "model/parallel/pipeline_link.h"

namespace weft {
namespace {

/// Rows of logits that are computed at a time.
constexpr std::int64_t kLogitRows = 64;

/// Rows up to which a step with drafts costs little more than one without
/// (docs/measurements/speculation.md).
constexpr std::int64_t kSpeculativeRows = 32;

/// Of the rank that needs most.
Footprint largest_footprint(const std::vector<Partition>& parts, const EngineShape& shape,
                            const OpSizes& ops) {
  Footprint largest;
  for (const Partition& part : parts) {
    const Footprint footprint = footprint_of(part, shape, ops);
    if (footprint.total() > largest.total()) largest = footprint;
  }
  return largest;
}

Bytes largest_block(const std::vector<Partition>& parts, std::int64_t block_tokens,
                    const OpSizes& ops) {
  Bytes largest = 0;
  for (const Partition& part : parts) {
    largest = std::max(largest, kv_block_bytes(kv_shape(part, block_tokens, 1), ops));
  }
  return largest;
}

/// MPI-3.1 counts bytes in ints: what one exchange moves must stay below 2 GiB.
void check_messages(const std::vector<Partition>& parts, const EngineShape& shape,
                    const OpSizes& ops) {
  const std::int64_t rows = shape.step.max_rows;
  for (const Partition& part : parts) {
    const auto check = [&](std::string_view what, Bytes bytes) {
      if (bytes < std::numeric_limits<std::int32_t>::max()) return;
      fail_user("engine.max_batch_tokens is {}: {} would move {}, and 2 GiB is the most; lower it",
                rows, what, human_bytes(bytes));
    };
    check(fmt::format("an exchange of partial sums between {} ranks", part.ranks),
          region_bytes(region_shape(part, shape, ops)));
    check(fmt::format("an exchange of experts' rows between {} ranks", part.moe.coordinates.ranks),
          FfnLayers::message_bytes(part, shape.step, shape.transport));
    check(fmt::format("an exchange of keys and values between {} ranks", shape.sp),
          KvExchange::message_bytes(part, rows, shape.sp));
    check("sending activations to the next stage",
          PipelineLink::message_bytes(part.stage, rows, part.config.hidden));
  }
}

}  // namespace

LayoutLimits layout_limits(const ModelFacts& model, std::int64_t layers) {
  const ModelSegments segments = segments_of(model.config, model.caps);
  LayoutLimits limits;
  limits.o_segments = segments.o.count();
  if (model.config.has_dense_layers()) limits.down_segments = segments.down.count();
  if (model.config.has_experts()) {
    limits.experts = model.config.moe.experts;
    limits.expert_segments = segments.expert_down.count();
    limits.shared_segments = segments.shared_down.count();
  }
  limits.sublayers = 2 * (layers > 0 ? layers : model.config.layers);
  return limits;
}

std::vector<Partition> partitions_of(const ModelFacts& model, const Layout& layout,
                                     std::int64_t layers) {
  if (layers > model.config.layers) {
    fail_user("engine.layers is {}, the model has {}", layers, model.config.layers);
  }
  const std::vector<Stage> stages = cut_stages(sublayer_costs(model.config, layers), layout.pp);
  std::vector<Partition> parts;
  for (const Stage& stage : stages) {
    for (int rank = 0; rank < std::max(layout.tp, layout.ep); ++rank) {
      const RankCoordinates coordinates{0, 0, rank / layout.tp, rank % layout.tp};
      parts.push_back(Partition::of(model.config, model.caps, model.dtype, coordinates.tp,
                                    layout.tp, layers, expert_coordinates(layout, coordinates))
                          .in_stage(stage));
    }
  }
  return parts;
}

std::size_t partition_index(const Layout& layout, const RankCoordinates& coordinates) {
  return static_cast<std::size_t>(coordinates.pp * std::max(layout.tp, layout.ep) +
                                  expert_coordinates(layout, coordinates).rank);
}

EngineSizes size_engine(const EngineConfig& engine_config, const Layout& layout,
                        const std::vector<Partition>& parts, Bytes memory, const OpSizes& ops) {
  const ModelConfig& config = parts.front().config;
  EngineSizes sizes;
  if (engine_config.max_sequence_length > config.max_positions) {
    fail_user("engine.max_sequence_length is {}, the model's positions end at {}",
              engine_config.max_sequence_length, config.max_positions);
  }
  sizes.max_sequence_length = engine_config.max_sequence_length > 0
                                  ? engine_config.max_sequence_length
                                  : config.max_positions;
  sizes.shape.block_tokens = engine_config.block_tokens;
  StepShape& step = sizes.shape.step;
  step.max_rows = engine_config.max_batch_tokens;
  // A shared slice may be two queries on every sp rank; each query has a row.
  sizes.shape.sp = layout.sp;
  const std::int64_t queries = layout.sp == 1 ? 1 : 2;
  step.max_sequences =
      std::min(queries * engine_config.max_sequences, engine_config.max_batch_tokens);
  step.logit_rows = std::min(step.max_sequences, kLogitRows);
  step.table_width = ceil_div(sizes.max_sequence_length, engine_config.block_tokens);

  sizes.shape.async_scheduling = engine_config.async_scheduling;
  sizes.async_scheduling = DeviceTokens::count(parts.front(), sizes.shape, ops) > 0;

  const Footprint fixed = largest_footprint(parts, sizes.shape, ops);
  const Bytes left = memory > fixed.total() ? memory - fixed.total() : 0;
  const Bytes kv_block = largest_block(parts, engine_config.block_tokens, ops);
  const Bytes kv_bytes = engine_config.kv_bytes.value_or(left);
  if (kv_bytes > left || left < kv_block) {
    fail_user(
        "a rank needs {} for weights, {} for activations and buffers and {} for its key/value "
        "cache, but has {} of memory: split the model over more ranks (parallel.tp, pp or, with "
        "experts, ep){}",
        human_bytes(fixed.weights), human_bytes(fixed.activations + fixed.buffers),
        human_bytes(std::max(kv_bytes, kv_block)), human_bytes(memory),
        fixed.weights >= memory ? "" : ", or lower engine.max_batch_tokens or engine.kv_memory");
  }
  if (kv_bytes < kv_block) {
    fail_user("engine.kv_memory is {}, but a page of {} tokens takes {}", human_bytes(kv_bytes),
              engine_config.block_tokens, human_bytes(kv_block));
  }
  check_messages(parts, sizes.shape, ops);
  // No more blocks than the sequences can fill.
  const std::int64_t wanted =
      std::min(layout.sp * engine_config.max_sequences, step.max_sequences) * step.table_width;
  sizes.shape.kv_blocks = std::min(wanted, static_cast<std::int64_t>(kv_bytes / kv_block));
  const std::int64_t room = sizes.shape.kv_blocks * engine_config.block_tokens;
  if (room < sizes.max_sequence_length) {
    if (!engine_config.may_shorten || room == 0) {
      fail_user(
          "the key/value cache of {} holds {} tokens, but sequences may have {}: set "
          "engine.max_sequence_length to at most {}, raise engine.kv_memory, or split the "
          "model over more ranks",
          human_bytes(kv_bytes), room, sizes.max_sequence_length, room);
    }
    sizes.max_sequence_length = room;
    step.table_width = sizes.shape.kv_blocks;
  }
  sizes.limits.max_batch_tokens = step.max_rows;
  sizes.limits.max_sequences = std::min(engine_config.max_sequences, step.max_rows);
  sizes.limits.prefill_chunk = engine_config.prefill_chunk;
  sizes.limits.block_tokens = engine_config.block_tokens;
  sizes.limits.kv_blocks = sizes.shape.kv_blocks;
  sizes.limits.sp = layout.sp;
  sizes.limits.batches = layout.pp;
  sizes.limits.sp_threshold = engine_config.sp_threshold;
  sizes.limits.prefix_sharing = engine_config.prefix_sharing;
  sizes.max_draft = engine_config.max_draft;
  if (sizes.max_draft > 0) sizes.limits.speculative_rows = kSpeculativeRows;
  return sizes;
}

std::string human_bytes(Bytes bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= Bytes{1} << 30) return fmt::format("{:.2f} GiB", value / 0x1p30);
  if (bytes >= Bytes{1} << 20) return fmt::format("{:.1f} MiB", value / 0x1p20);
  if (bytes >= Bytes{1} << 10) return fmt::format("{:.1f} KiB", value / 0x1p10);
  return fmt::format("{} bytes", bytes);
}

}  // namespace weft
