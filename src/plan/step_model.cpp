#include "plan/step_model.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "layout/causal_split.h"
#include "plan/planned_step.h"
#include "plan/topology.h"

namespace weft {
namespace {

/// Times are computed for counts of two leading digits or so (5 bits): others are within 3 %.
std::int64_t rounded(std::int64_t count) {
  constexpr int kBits = 5;
  const auto bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count)));
  if (bits <= kBits + 1) return count;
  const std::int64_t unit = std::int64_t{1} << (bits - kBits - 1);
  return (count + unit / 2) / unit * unit;
}

void add(StepLoad& load, const Slice& slice, std::int64_t begin, std::int64_t rows) {
  if (rows == 0) return;
  load.rows += rows;
  load.pairs += static_cast<double>(rows) *
                (static_cast<double>(begin) + 0.5 * static_cast<double>(rows + 1));
  load.keys += static_cast<double>(begin + rows);
  if (slice.shared) load.shared += rows;
}

}  // namespace

std::vector<StepLoad> loads_of(std::span<const Slice> slices, int sp) {
  std::vector<StepLoad> loads(static_cast<std::size_t>(sp));
  for (const Slice& slice : slices) {
    StepLoad& home = loads[static_cast<std::size_t>(slice.home)];
    ++home.sequences;
    if (slice.samples) ++home.samples;
    if (!slice.shared) {
      add(home, slice, slice.begin, slice.count);
      continue;
    }
    for (int rank = 0; rank < sp; ++rank) {
      for (const Range& run : causal_rows(slice.count, sp, rank)) {
        add(loads[static_cast<std::size_t>(rank)], slice, slice.begin + run.begin, run.size());
      }
    }
  }
  return loads;
}

StepModel::StepModel(const LayoutVerdict& verdict, const Hardware& hardware, int ranks_per_node,
                     bool digest)
    : verdict_(verdict),
      hardware_(hardware),
      ranks_per_node_(ranks_per_node),
      digest_(digest),
      parts_(static_cast<std::size_t>(verdict.layout.pp), verdict.parts.size()) {
  for (std::size_t i = 0; i < verdict.parts.size(); ++i) {
    std::size_t& most = parts_[static_cast<std::size_t>(verdict.parts[i].stage.index)];
    if (most == verdict.parts.size() ||
        verdict.footprints[i].weights > verdict.footprints[most].weights) {
      most = i;
    }
  }
}

std::vector<StageTime> StepModel::stages(std::span<const StepLoad> loads) {
  std::vector<StageTime> stages(parts_.size());
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    for (const StepLoad& load : loads) {
      const StageTime time = stage(i, load);
      if (time.total() > stages[i].total()) stages[i] = time;
    }
  }
  return stages;
}

StageTime StepModel::stage(std::size_t index, const StepLoad& load) {
  StepLoad near = load;
  near.rows = rounded(load.rows);
  near.samples = rounded(load.samples);
  near.shared = rounded(load.shared);
  const Partition& part = verdict_.parts[parts_[index]];
  const auto [found, is_new] =
      known_.try_emplace({index, near.rows, near.samples, near.shared}, StageTime{});
  if (is_new) {
    const std::size_t group =
        static_cast<std::size_t>(std::max(verdict_.layout.tp, verdict_.layout.ep));
    found->second = fixed(part, static_cast<int>(parts_[index] % group) / verdict_.layout.tp, near);
  }
  StageTime time = found->second;
  const Range layers = part.stage.attention_layers();
  for (std::int64_t layer = layers.begin; layer < layers.end && load.rows > 0;) {
    // Layers with the same window are alike.
    const std::int64_t window = part.config.windows[static_cast<std::size_t>(layer)];
    const std::int64_t first = layer;
    while (layer < layers.end && part.config.windows[static_cast<std::size_t>(layer)] == window) {
      ++layer;
    }
    AttentionLoad seen{load.keys, load.pairs, static_cast<double>(load.rows)};
    if (window > 0) {
      seen.pairs = std::min(seen.pairs, seen.rows * static_cast<double>(window));
      seen.keys = std::min(seen.keys, seen.rows + static_cast<double>(load.sequences * window));
    }
    time.compute +=
        static_cast<double>(layer - first) *
        hardware_.attention(seen, static_cast<double>(part.heads.kv_heads * part.heads.head_dim),
                            static_cast<double>(part.query_columns()), part.dtype);
  }
  return time;
}

StageTime StepModel::fixed(const Partition& part, int sp_rank, const StepLoad& load) const {
  const auto rows = static_cast<double>(load.rows);
  const auto product = [&](double of_rows, const MatrixShape& shape) {
    if (of_rows == 0 || shape.rows == 0) return 0.0;
    return hardware_.product(of_rows, static_cast<double>(shape.rows),
                             static_cast<double>(shape.columns()), shape.dtype);
  };
  const auto hidden = static_cast<double>(part.config.hidden);
  const auto values = [&](const MatrixShape& shape) { return static_cast<double>(shape.rows); };
  StageTime time;
  double passed = 0;  // values that operators over rows read and write, for each row
  const auto attentions = static_cast<double>(part.stage.attention_layers().size());
  time.compute += attentions * (product(rows, part.qkv()) + product(rows, part.o()));
  passed += attentions * (1.5 * values(part.qkv()) + 3.5 * hidden);
  const auto sparse = static_cast<double>(sparse_layers(part));
  const double dense = static_cast<double>(part.stage.ffn_layers().size()) - sparse;
  if (dense > 0) {
    time.compute += dense * (product(rows, part.gate_up()) + product(rows, part.down()));
    passed += dense * (1.25 * values(part.gate_up()) + 3.5 * hidden);
  }
  if (sparse > 0) {
    const MoePartition& moe = part.moe;
    const double all_rows = rows * moe.coordinates.domains();
    const double chance =
        static_cast<double>(moe.config.per_token) / static_cast<double>(moe.config.experts);
    const auto own = static_cast<double>(moe.experts.size());
    const double met = own * (1 - std::pow(1 - chance, all_rows));
    const double pairs = all_rows * chance * own;
    if (met > 0) {
      time.compute +=
          sparse * met * (product(pairs / met, moe.gate_up) + product(pairs / met, moe.down));
    }
    time.compute += sparse * product(rows, moe.router);
    if (moe.shared()) {
      time.compute += sparse * (product(rows, moe.shared_gate) + product(rows, moe.shared_gate_up) +
                                product(rows, moe.shared_down));
    }
    const double of_pair = 1.25 * values(moe.gate_up) + 3.5 * hidden;
    passed += sparse * (3.5 * hidden + (rows > 0 ? pairs / rows : 0) * of_pair);
  }
  time.compute += hardware_.rows(passed * rows);
  if (part.stage.last()) {
    time.compute += product(static_cast<double>(load.samples), part.vocabulary());
    time.compute += hardware_.sampling(static_cast<double>(load.samples),
                                       static_cast<double>(part.vocabulary().rows));
  }
  time.communication = communication(part, sp_rank, load);
  return time;
}

double StepModel::communication(const Partition& part, int sp_rank, const StepLoad& load) const {
  const Layout& layout = verdict_.layout;
  if (layout.replica_size() == 1) return 0;
  const EngineSizes& sizes = *verdict_.sizes;
  const StepRows step = rows_of_step(
      {load.rows, load.samples, load.shared, sizes.async_scheduling && !digest_}, layout, part);
  const Traffic traffic = step_traffic(part, sizes.shape, sp_rank, step, digest_);
  double seconds = 0;
  for (const Primitive axis : communicating_axes()) {
    const bool within = within_node(layout, axis, ranks_per_node_);
    const int ranks = axis == Primitive::tp   ? layout.tp
                      : axis == Primitive::sp ? layout.sp
                      : axis == Primitive::ep ? std::max(layout.tp, layout.ep)
                                              : layout.pp;
    for (const Operation operation : moving_operations()) {
      const Transfer& moved = traffic.of(axis, operation);
      if (moved.calls == 0) continue;
      seconds += hardware_.communication(operation, ranks, static_cast<double>(moved.calls),
                                         static_cast<double>(moved.sent),
                                         static_cast<double>(moved.received), within);
    }
  }
  return seconds;
}

double StepModel::host(std::int64_t sequences, std::int64_t rows) const {
  return hardware_.host(static_cast<double>(sequences), static_cast<double>(rows));
}

double StepModel::loading() const {
  Bytes most = 0;
  for (const std::size_t part : parts_) {
    most = std::max(most, verdict_.footprints[part].weights);
  }
  return hardware_.loading(static_cast<double>(most));
}

}  // namespace weft
