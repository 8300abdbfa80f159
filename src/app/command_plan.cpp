// `weft plan`: what a job would need, before it is queued. Needs no MPI.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "app/commands.h"
#include "app/deployment.h"
#include "base/error.h"
#include "base/machine.h"
#include "layout/legality.h"
#include "plan/layout_table.h"

namespace weft {
namespace {

/// What all verdicts of one call have in common.
struct Setting {
  ModelFacts model;
  JobEngine engine;
  std::unique_ptr<Ops> ops;
  int ranks = 1;
  int ranks_per_node = 1;
  Bytes memory = 0;  ///< of each rank
};

LayoutVerdict judge_in(const Setting& setting, const Layout& layout) {
  return judge(layout, setting.model, wishes_of(setting.engine, setting.memory), setting.ranks,
               setting.memory, *setting.ops);
}

void print_model(const Job& job, const Setting& setting) {
  const ModelConfig& config = setting.model.config;
  fmt::print(
      "model     {}: {}, {} layers, hidden {}, {} query and {} key/value heads of {}, "
      "ffn {}, vocabulary {}, {}\n",
      job.model.string(), name(config.architecture), config.layers, config.hidden,
      config.query_heads, config.kv_heads, config.head_dim, config.ffn, config.vocab,
      name(setting.model.dtype));
  const LayoutLimits limits = layout_limits(setting.model);
  fmt::print("segments  {} for the attention output, {} for the ffn down projection: tp up to {}\n",
             limits.o_segments, limits.down_segments,
             std::min(limits.o_segments, limits.down_segments));
  fmt::print(
      "memory    {} for each of {} ranks on a node (nine tenths of what is free on this "
      "machine)\n\n",
      human_bytes(setting.memory), setting.ranks_per_node);
}

void print_verdict(const LayoutVerdict& verdict) {
  fmt::print("layout    {}\n", to_string(verdict.layout));
  if (!verdict.violations.empty()) {
    for (const std::string& text : verdict.violations) fmt::print("  not possible: {}\n", text);
    return;
  }
  const EngineSizes& sizes = *verdict.sizes;
  fmt::print(
      "engine    {} rows a step, {} sequences at a time, sequences up to {} tokens, "
      "{} cache pages of {} tokens\n",
      sizes.limits.max_batch_tokens, sizes.limits.max_sequences, sizes.max_sequence_length,
      sizes.limits.pages, sizes.limits.page_tokens);
  fmt::print("\n{:>8} {:>12} {:>12} {:>12} {:>12} {:>12}\n", "tp rank", "weights", "kv cache",
             "activations", "buffers", "total");
  for (std::size_t rank = 0; rank < verdict.footprints.size(); ++rank) {
    const Footprint& footprint = verdict.footprints[rank];
    fmt::print("{:>8} {:>12} {:>12} {:>12} {:>12} {:>12}\n", rank, human_bytes(footprint.weights),
               human_bytes(footprint.kv_cache), human_bytes(footprint.activations),
               human_bytes(footprint.buffers), human_bytes(footprint.total()));
  }
}

void print_table(const Setting& setting) {
  fmt::print("layouts of {} ranks; memory is that of the rank that holds most\n", setting.ranks);
  fmt::print("{:>4} {:>4} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10}\n", "tp", "dp", "weights",
             "kv cache", "activations", "buffers", "total", "kv tokens");
  for (const Layout& layout : layouts_of(setting.ranks)) {
    const LayoutVerdict verdict = judge_in(setting, layout);
    if (!verdict.violations.empty()) {
      fmt::print("{:>4} {:>4}   not possible: {}\n", layout.tp, layout.dp,
                 verdict.violations.front());
      continue;
    }
    const Footprint& most = verdict.footprints[largest_rank(verdict)];
    fmt::print("{:>4} {:>4} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10}\n", layout.tp, layout.dp,
               human_bytes(most.weights), human_bytes(most.kv_cache), human_bytes(most.activations),
               human_bytes(most.buffers), human_bytes(most.total()),
               verdict.sizes->limits.pages * verdict.sizes->limits.page_tokens);
  }
}

}  // namespace

int command_plan(const PlanOptions& options) {
  const Job job = load_job(options.job, options.overrides);
  check_device(job.engine);
  const ModelReader reader(job.model);
  Setting setting;
  setting.model = facts_of(reader);
  setting.engine = job.engine;
  const JobParallel& parallel = job.parallel;
  const Layout asked{parallel.tp, parallel.pp, parallel.sp, parallel.ep, parallel.dp.value_or(1)};
  setting.ranks = options.ranks.value_or(static_cast<int>(
      std::min<std::int64_t>(asked.world_size(), std::numeric_limits<int>::max())));
  setting.ranks_per_node = std::min(options.gpus_per_node.value_or(setting.ranks), setting.ranks);
  setting.memory = memory_share(setting.ranks_per_node);
  setting.ops =
      make_cpu_ops(threads_of(job.engine.threads, setting.ranks_per_node), job.engine.isa);

  print_model(job, setting);
  if (options.ranks) {
    print_table(setting);
    return kExitSuccess;
  }
  const LayoutVerdict verdict = judge_in(setting, asked);
  print_verdict(verdict);
  return verdict.violations.empty() ? kExitSuccess : kExitUserError;
}

}  // namespace weft
