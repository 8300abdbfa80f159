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

Bytes largest_page(const std::vector<Partition>& parts, std::int64_t page_tokens,
                   const OpSizes& ops) {
  Bytes largest = 0;
  for (const Partition& part : parts) {
    largest = std::max(largest, kv_page_bytes(kv_shape(part, page_tokens, 1), ops));
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
    check(fmt::format("an exchange of experts' rows between {} ranks", part.moe.place.ranks),
          FfnLayers::message_bytes(part, shape.step, shape.transport));
    check(fmt::format("an exchange of keys and values between {} ranks", shape.sp),
          KvExchange::message_bytes(part, rows, shape.sp));
    check("sending activations to the next stage",
          Pipe::message_bytes(part.stage, rows, part.config.hidden));
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
      const Place place{0, 0, rank / layout.tp, rank % layout.tp};
      parts.push_back(Partition::of(model.config, model.caps, model.dtype, place.tp, layout.tp,
                                    layers, expert_place(layout, place))
                          .in_stage(stage));
    }
  }
  return parts;
}

std::size_t partition_index(const Layout& layout, const Place& place) {
  return static_cast<std::size_t>(place.pp * std::max(layout.tp, layout.ep) +
                                  expert_place(layout, place).rank);
}

EngineSizes size_engine(const EngineWishes& wishes, const Layout& layout,
                        const std::vector<Partition>& parts, Bytes memory, const OpSizes& ops) {
  const ModelConfig& config = parts.front().config;
  EngineSizes sizes;
  if (wishes.max_sequence_length > config.max_positions) {
    fail_user("engine.max_sequence_length is {}, the model's positions end at {}",
              wishes.max_sequence_length, config.max_positions);
  }
  sizes.max_sequence_length =
      wishes.max_sequence_length > 0 ? wishes.max_sequence_length : config.max_positions;
  sizes.shape.page_tokens = wishes.page_tokens;
  StepShape& step = sizes.shape.step;
  step.max_rows = wishes.max_batch_tokens;
  // A shared slice may be two queries on every sp rank; each query has a row.
  sizes.shape.sp = layout.sp;
  const std::int64_t queries = layout.sp == 1 ? 1 : 2;
  step.max_sequences = std::min(queries * wishes.max_sequences, wishes.max_batch_tokens);
  step.logit_rows = std::min(step.max_sequences, kLogitRows);
  step.table_width = ceil_div(sizes.max_sequence_length, wishes.page_tokens);

  sizes.shape.run_ahead = wishes.run_ahead;
  sizes.run_ahead = KeptTokens::count(parts.front(), sizes.shape, ops) > 0;

  const Footprint fixed = largest_footprint(parts, sizes.shape, ops);
  const Bytes left = memory > fixed.total() ? memory - fixed.total() : 0;
  const Bytes page = largest_page(parts, wishes.page_tokens, ops);
  const Bytes kv_bytes = wishes.kv_bytes.value_or(left);
  if (kv_bytes > left || left < page) {
    fail_user(
        "a rank needs {} for weights, {} for activations and buffers and {} for its key/value "
        "cache, but has {} of memory: split the model over more ranks (parallel.tp, pp or, with "
        "experts, ep){}",
        human_bytes(fixed.weights), human_bytes(fixed.activations + fixed.buffers),
        human_bytes(std::max(kv_bytes, page)), human_bytes(memory),
        fixed.weights >= memory ? "" : ", or lower engine.max_batch_tokens or engine.kv_memory");
  }
  if (kv_bytes < page) {
    fail_user("engine.kv_memory is {}, but a page of {} tokens takes {}", human_bytes(kv_bytes),
              wishes.page_tokens, human_bytes(page));
  }
  check_messages(parts, sizes.shape, ops);
  // No more pages than the sequences can fill.
  const std::int64_t wanted =
      std::min(layout.sp * wishes.max_sequences, step.max_sequences) * step.table_width;
  sizes.shape.pages = std::min(wanted, static_cast<std::int64_t>(kv_bytes / page));
  const std::int64_t room = sizes.shape.pages * wishes.page_tokens;
  if (room < sizes.max_sequence_length) {
    if (!wishes.may_shorten || room == 0) {
      fail_user(
          "the key/value cache of {} holds {} tokens, but sequences may have {}: set "
          "engine.max_sequence_length to at most {}, raise engine.kv_memory, or split the "
          "model over more ranks",
          human_bytes(kv_bytes), room, sizes.max_sequence_length, room);
    }
    sizes.max_sequence_length = room;
    step.table_width = sizes.shape.pages;
  }
  sizes.limits.max_batch_tokens = step.max_rows;
  sizes.limits.max_sequences = std::min(wishes.max_sequences, step.max_rows);
  sizes.limits.prefill_chunk = wishes.prefill_chunk;
  sizes.limits.page_tokens = wishes.page_tokens;
  sizes.limits.pages = sizes.shape.pages;
  sizes.limits.sp = layout.sp;
  sizes.limits.batches = layout.pp;
  sizes.limits.share_from = wishes.share_from;
  sizes.limits.prefix_sharing = wishes.prefix_sharing;
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
