// The operators for experts on CPUs: work is shared out by expert, weight panel and row.
#include <algorithm>

#include "base/progress_counter.h"
#include "ops/checks.h"
#include "ops/cpu/cpu_ops.h"
#include "ops/cpu/linear_plan.h"

namespace weft {
namespace {

/// Most pairs of one run: enough to repay reading and widening a panel, few enough that one
/// favoured expert's pairs still spread over the threads.
constexpr std::int64_t kRunPairs = 120;
/// What a panel costs beside its rows, in rows: reading and widening it.
constexpr std::int64_t kPanelCost = 8;

}  // namespace

void CpuOps::route(const Tensor& logits, const Tensor& slots, bool normalise, const Tensor& experts,
                   const Tensor& weights, const Tensor& loads) {
  checks::route(logits, slots, experts, weights, loads);
  if (logits.elements() == 0) return;
  RouteTask task;
  task.logits = logits.as<float>();
  task.logit_stride = logits.row_stride();
  task.experts = logits.row_elements();
  task.chosen = experts.row_elements();
  task.normalise = normalise;
  task.ids = experts.as<std::int32_t>();
  task.weights = weights.as<float>();
  task.weight_stride = weights.row_stride();
  spread(logits.rows(), logits.elements() * (4 + task.chosen), [&](int, Range rows) {
    RouteTask mine = task;
    mine.rows = rows;
    kernels_.route(mine);
  });
  for (std::int64_t m = 0; m < logits.rows(); ++m) {
    std::int32_t* const ids = task.ids + m * task.chosen;
    if (slots.as<std::int32_t>()[m] < 0) {
      std::fill_n(ids, task.chosen, kNoExpert);
      std::fill_n(task.weights + m * task.weight_stride, task.chosen, 0.0F);
      continue;
    }
    for (std::int64_t j = 0; j < task.chosen; ++j) ++loads.as<std::int32_t>()[ids[j]];
  }
}

void CpuOps::sort_pairs(const Tensor& experts, const Tensor& ends, const Tensor& rows,
                        const Tensor& places) {
  checks::sort_pairs(experts, ends, rows, places);
  const std::span<const std::int32_t> of = experts.span<std::int32_t>();
  const auto pairs = static_cast<std::int64_t>(of.size());
  const std::int64_t copies = pairs > 0 ? places.elements() / pairs : 0;
  // Counts, then where each expert's next pair goes, which in the end is the end of its pairs.
  const std::span<std::int32_t> next = ends.span<std::int32_t>();
  std::fill(next.begin(), next.end(), 0);
  for (const std::int32_t expert : of) {
    if (expert >= 0) ++next[static_cast<std::size_t>(expert)];
  }
  std::int32_t begin = 0;
  for (std::int32_t& expert : next) {
    const std::int32_t count = expert;
    expert = begin;
    begin += count;
  }
  std::int32_t* to = places.as<std::int32_t>();
  for (std::int64_t p = 0; p < pairs; ++p) {
    const std::int32_t expert = of[static_cast<std::size_t>(p)];
    if (expert < 0) {
      to = std::fill_n(to, copies, -1);
      continue;
    }
    const std::int32_t place = next[static_cast<std::size_t>(expert)]++;
    rows.as<std::int32_t>()[place] = static_cast<std::int32_t>(p / experts.row_elements());
    for (std::int64_t i = 0; i < copies; ++i) *to++ = static_cast<std::int32_t>(i * pairs) + place;
  }
}

void CpuOps::expert_linear(const Tensor& x, const Tensor& rows, const Tensor& ends,
                           const MatrixStack& w, const Tensor& out) {
  const std::int64_t pairs = checks::expert_linear(x, rows, ends, w, out);
  if (pairs == 0 || w.shape.rows == 0 || w.shape.columns() == 0) return;
  const std::span<const std::int32_t> end_of = ends.span<std::int32_t>();
  const std::int64_t last = checks::pair_ends(end_of, pairs);
  plan_leaves(w.shape.cut, leaves_);
  const std::int32_t* const index = rows.defined() ? rows.as<std::int32_t>() : nullptr;
  const std::int64_t most = pass_rows(pairs, w.shape.columns());
  std::size_t expert = 0;
  for (std::int64_t begin = 0; begin < last; begin += most) {
    const std::int64_t end = std::min(begin + most, last);
    runs_.clear();
    for (std::int64_t at = begin; at < end;) {
      while (end_of[expert] <= at) ++expert;
      const std::int64_t stop = std::min({std::int64_t{end_of[expert]}, end, at + kRunPairs});
      runs_.push_back({static_cast<std::int64_t>(expert), {at, stop}});
      at = stop;
    }
    expert_pass(x, index, w, pairs, out.as<float>());
  }
}

void CpuOps::expert_pass(const Tensor& x, const std::int32_t* rows, const MatrixStack& w,
                         std::int64_t pairs, float* out) {
  const std::int64_t first = runs_.front().pairs.begin;
  const std::int64_t count = runs_.back().pairs.end - first;
  const std::int64_t columns = w.shape.columns();
  const std::int64_t panels = ceil_div(w.shape.rows, kPanelRows);
  const bool of_two = takes_pairs(kernels_, w.shape.dtype, leaves_);
  const std::int64_t row_floats = packed_floats(columns, of_two);
  const std::int64_t x_floats = round_up(count * row_floats, 16);
  std::int64_t longest = 0;
  std::int64_t cost = 0;
  for (const ExpertRun& run : runs_) {
    longest = std::max(longest, run.pairs.size());
    cost += panels * (run.pairs.size() + kPanelCost);
  }
  const std::int64_t thread_floats = linear_scratch(longest, slots_of(leaves_));
  float* const packed = workspace(x_floats + threads_ * thread_floats);

  const auto runs = static_cast<std::int64_t>(runs_.size());
  spread(runs, count * columns, [&](int, Range range) {
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const Range run = runs_[static_cast<std::size_t>(i)].pairs;
      const std::int64_t blocks = ceil_div(run.size(), kernels_.tile_rows);
      for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t begin = run.begin + b * run.size() / blocks;
        PackTask task;
        task.x = rows != nullptr ? x.data() : x.slice(begin, x.rows()).data();
        task.index = rows != nullptr ? rows + begin : nullptr;
        task.bf16 = x.dtype() == DType::bf16;
        task.row_stride = x.row_stride();
        task.rows = run.begin + (b + 1) * run.size() / blocks - begin;
        task.columns = columns;
        task.out = packed + (begin - first) * row_floats;
        of_two ? kernels_.pack_pairs(task) : kernels_.pack(task);
      }
    }
  });

  count_progress();
  // Each thread takes the panels that begin in its share of the total cost.
  const Bytes matrix = matrix_bytes(w.shape);
  spread(cost, count * columns * w.shape.rows, [&](int thread, Range share) {
    LinearTask task;
    task.bf16 = w.shape.dtype == DType::bf16;
    task.columns = columns;
    task.outputs = w.shape.rows;
    task.leaves = leaves_.data();
    task.leaf_count = static_cast<int>(leaves_.size());
    task.node_stride = pairs * w.shape.rows;
    task.scratch = packed + x_floats + thread * thread_floats;
    std::int64_t begin = 0;  // of the run's cost
    for (const ExpertRun& run : runs_) {
      const std::int64_t unit = run.pairs.size() + kPanelCost;
      const auto panel_from = [&](std::int64_t at) {
        return std::clamp<std::int64_t>(ceil_div(std::max<std::int64_t>(at - begin, 0), unit), 0,
                                        panels);
      };
      task.panels = {panel_from(share.begin), panel_from(share.end)};
      begin += panels * unit;
      if (task.panels.empty()) continue;
      task.x = packed + (run.pairs.begin - first) * row_floats;
      task.weights = w.storage.data() + static_cast<Bytes>(run.expert) * matrix;
      task.rows = run.pairs.size();
      task.out = out + run.pairs.begin * w.shape.rows;
      task.blocks = {0, ceil_div(task.rows, kernels_.tile_rows)};
      of_two ? kernels_.linear_pairs(task) : kernels_.linear(task);
    }
  });
}

void CpuOps::combine(std::span<const TreeNode> nodes, const Tensor& parts, const Tensor& rows,
                     const Tensor& weights, const Tensor& out) {
  checks::combine(nodes, parts, rows, weights, out);
  if (out.elements() == 0) return;
  std::vector<int> merges;
  TreeStack stack;
  for (const TreeNode& node : nodes) {
    merges.push_back(stack.push(node));
    require(stack.size() <= kMaxTreeDepth, "combine: a tree deeper than {}", kMaxTreeDepth);
  }
  CombineTask task;
  task.parts = parts.as<float>();
  task.part_stride = parts.row_stride();
  task.rows_of = rows.as<std::int32_t>();
  task.merges = merges.data();
  task.count = static_cast<int>(merges.size());
  task.chosen = weights.row_elements();
  task.weights = weights.as<float>();
  task.weight_stride = weights.row_stride();
  task.out = out.as<float>();
  task.out_stride = out.row_stride();
  task.rows = {0, out.rows()};
  task.columns = {0, out.row_elements()};
  // By rows when there are many, else by runs of 64 columns.
  const std::int64_t work = out.elements() * task.count * task.chosen;
  const bool by_rows = out.rows() >= threads_;
  const std::int64_t runs = ceil_div(out.row_elements(), 64);
  spread(by_rows ? out.rows() : runs, work, [&](int, Range range) {
    CombineTask mine = task;
    if (by_rows) {
      mine.rows = range;
    } else {
      mine.columns = {range.begin * 64, std::min(range.end * 64, out.row_elements())};
    }
    kernels_.combine(mine);
  });
}

void CpuOps::add_gated(const Tensor& gate, const Tensor& x, const Tensor& sum) {
  checks::add_gated(gate, x, sum);
  if (sum.elements() == 0) return;
  GatedTask task;
  task.gate = gate.as<float>();
  task.gate_stride = gate.row_stride();
  task.x = x.as<float>();
  task.x_stride = x.row_stride();
  task.sum = sum.as<float>();
  task.sum_stride = sum.row_stride();
  task.columns = sum.row_elements();
  spread(sum.rows(), sum.elements(), [&](int, Range rows) {
    GatedTask mine = task;
    mine.rows = rows;
    kernels_.add_gated(mine);
  });
}

}  // namespace weft
