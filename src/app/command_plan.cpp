// `weft plan`: what a job would need, before it is queued. Needs no MPI.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "app/commands.h"
#include "app/deployment.h"
#include "app/plan_speed.h"
#include "base/error.h"
#include "base/machine.h"
#include "cuda/devices.h"
#include "cuda/gpu_ops.h"
#include "layout/legality.h"
#include "layout/semantics.h"
#include "plan/layout_table.h"

namespace weft {
namespace {

/// What all verdicts of one call have in common.
struct Setting {
  ModelFacts model;
  JobEngine engine;
  std::unique_ptr<OpSizes> ops;
  std::string memory_source;
  int ranks = 1;
  int ranks_per_node = 1;
  Bytes memory = 0;                     ///< of each rank
  std::optional<MachineLimits> limits;  ///< of each rank, where speed is to be predicted
  bool digest = false;
};

/// "0 to 13, then the attention of 14".
std::string layers_in_words(const Stage& stage) {
  const Range whole{ceil_div(stage.sublayers.begin, 2), stage.sublayers.end / 2};
  std::string text;
  if (stage.sublayers.begin % 2 == 1) text += fmt::format("ffn of {}, ", stage.sublayers.begin / 2);
  if (!whole.empty()) text += fmt::format("{} to {}, ", whole.begin, whole.end - 1);
  if (stage.sublayers.end % 2 == 1) {
    text += fmt::format("attention of {}, ", stage.sublayers.end / 2);
  }
  return text.substr(0, text.size() - 2);
}

LayoutVerdict judge_in(const Setting& setting, const Layout& layout) {
  return judge(layout, setting.model, wishes_of(setting.engine, setting.memory), setting.ranks,
               setting.memory, *setting.ops);
}

void print_experts(const ModelConfig& config) {
  if (!config.has_experts()) return;
  const MoeConfig& moe = config.moe;
  fmt::print("experts   {} of width {} in {} of the layers, {} for each token", moe.experts,
             moe.ffn, std::count(moe.sparse.begin(), moe.sparse.end(), true), moe.per_token);
  if (moe.shared_ffn > 0) fmt::print(", and a shared one of width {}", moe.shared_ffn);
  fmt::print("\n");
}

void print_model(const Job& job, const Setting& setting) {
  const ModelConfig& config = setting.model.config;
  fmt::print(
      "model     {}: {}, {} layers, hidden {}, {} query and {} key/value heads of {}, "
      "ffn {}, vocabulary {}, {}\n",
      job.model.string(), name(config.architecture), config.layers, config.hidden,
      config.query_heads, config.kv_heads, config.head_dim, config.ffn, config.vocab,
      name(setting.model.dtype));
  print_experts(config);
  fmt::print("memory    {} for each of {} ranks on a node ({})\n\n", human_bytes(setting.memory),
             setting.ranks_per_node, setting.memory_source);
}

/// What the axes may be for this model, whatever the memory.
void print_rules(const LayoutLimits& limits) {
  fmt::print("what the axes may be\n");
  for (const Rule& rule : rules()) {
    if (rule.limit.empty() || !rule.concerns(limits)) continue;
    fmt::print("  {:<3} {:<18} {}\n", name(rule.primitive), rule.module ? name(*rule.module) : "",
               limit_of(rule, limits));
  }
}

/// Whether a model has any such module.
bool has(const ModelConfig& config, Module module) {
  if (module == Module::ffn) return config.has_dense_layers();
  if (module == Module::experts) return config.has_experts();
  return true;
}

/// The axes that some phase knows nothing of. `size` is that of the axis, or a letter for it.
void print_refusals(Primitive primitive, std::string_view size) {
  for (const ComputePhase phase : all_phases()) {
    const Semantics& entry = semantics_of(primitive, Module::scores, phase);
    if (!entry.applies) fmt::print("  {}\n", refusal(entry, size));
  }
}

void print_alternatives() {
  fmt::print("legal, and not built\n");
  for (const Alternative& other : alternatives()) {
    fmt::print("  {} divided by {}: {}\n", name(other.module), other.cut, other.why_not);
  }
}

/// What is active where: for each module and phase the axes that divide it, and what they exchange.
void print_map(const Layout& layout, const ModelConfig& config) {
  fmt::print("\nwhat is divided, and what travels{}\n",
             layout.world_size() == 1 ? ": nothing, with one rank" : "");
  for (const ComputePhase phase : all_phases()) {
    for (const Module module : all_modules()) {
      if (!has(config, module)) continue;
      for (const Primitive primitive : all_primitives()) {
        if (size_of(layout, primitive) == 1) continue;
        const Semantics& entry = semantics_of(primitive, module, phase);
        if (!entry.applies) continue;
        fmt::print("  {:<8} {:<18} {}={:<3} {}{}{}\n", name(phase), name(module), name(primitive),
                   size_of(layout, primitive), entry.cut, entry.moves.empty() ? "" : "; ",
                   entry.moves);
      }
    }
  }
  if (layout.sp > 1) print_refusals(Primitive::sp, std::to_string(layout.sp));
  print_alternatives();
}

void print_verdict(const LayoutVerdict& verdict, const ModelConfig& config) {
  fmt::print("layout    {}\n", to_string(verdict.layout));
  if (!verdict.violations.empty()) {
    for (const std::string& text : verdict.violations) fmt::print("  not possible: {}\n", text);
    return;
  }
  const EngineSizes& sizes = *verdict.sizes;
  fmt::print(
      "engine    {} rows a step, {} sequences at a time, sequences up to {} tokens, "
      "{} cache pages of {} tokens{}\n",
      sizes.limits.max_batch_tokens, sizes.limits.max_sequences, sizes.max_sequence_length,
      sizes.limits.pages, sizes.limits.page_tokens,
      verdict.layout.sp > 1 ? " (on each of the sp ranks)" : "");
  fmt::print("\n{:>5} {:>5} {:>12} {:>12} {:>12} {:>12} {:>12}  {}\n", "stage", "tp", "weights",
             "kv cache", "activations", "buffers", "total", "layers");
  for (std::size_t i = 0; i < verdict.footprints.size(); ++i) {
    const Footprint& footprint = verdict.footprints[i];
    const Partition& part = verdict.parts[i];
    fmt::print("{:>5} {:>5} {:>12} {:>12} {:>12} {:>12} {:>12}  {}\n", part.stage.index, part.rank,
               human_bytes(footprint.weights), human_bytes(footprint.kv_cache),
               human_bytes(footprint.activations), human_bytes(footprint.buffers),
               human_bytes(footprint.total()), layers_in_words(part.stage));
  }
  print_map(verdict.layout, config);
}

void print_table(const Setting& setting) {
  fmt::print("layouts of {} ranks; memory is that of the rank that holds most\n", setting.ranks);
  const bool experts = setting.model.config.has_experts();
  fmt::print("{:>4} {:>4} {:>4} {:>4} {:>4} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10}{}\n", "tp",
             "pp", "sp", "ep", "dp", "weights", "kv cache", "activations", "buffers", "total",
             "kv tokens", setting.limits ? speed_header() : "");
  for (const Layout& layout : layouts_of(setting.ranks, experts)) {
    const LayoutVerdict verdict = judge_in(setting, layout);
    fmt::print("{:>4} {:>4} {:>4} {:>4} {:>4} ", layout.tp, layout.pp, layout.sp, layout.ep,
               layout.dp);
    if (!verdict.violations.empty()) {
      // Every reason, the others below the first.
      for (const std::string& text : verdict.violations) {
        const bool first = &text == &verdict.violations.front();
        fmt::print("{}{}\n", first ? "  not possible: " : std::string(36, ' ') + "and: ", text);
      }
      continue;
    }
    const Footprint& most = verdict.footprints[largest_rank(verdict)];
    fmt::print("{:>12} {:>12} {:>12} {:>12} {:>12} {:>10}{}\n", human_bytes(most.weights),
               human_bytes(most.kv_cache), human_bytes(most.activations), human_bytes(most.buffers),
               human_bytes(most.total()),
               layout.sp * verdict.sizes->limits.pages * verdict.sizes->limits.page_tokens,
               setting.limits ? speed_columns(verdict, *setting.limits, setting.digest) : "");
  }
  if (setting.limits) fmt::print("{}", speed_footnote(*setting.limits));
  fmt::print("\n");
  print_rules(layout_limits(setting.model, setting.engine.layers.value_or(0)));
  print_refusals(Primitive::sp, "N");
  print_alternatives();
}

/// Sizes and memory of a rank that has a GPU to itself, or of one on this machine's CPU.
void set_processor(const PlanOptions& options, Setting& setting) {
  const Device device = setting.engine.device;
  std::vector<GpuDevice> gpus;
  if (device != Device::cpu && !options.gpu_memory) gpus = gpu_devices();
  const bool cuda = device == Device::cuda ||
                    (device == Device::automatic && (options.gpu_memory || !gpus.empty()));
  check_numerics(setting.engine, cuda);
  check_graphs(setting.engine, cuda, setting.model.config);
  if (!cuda) {
    if (options.gpu_memory) fail_user("--gpu-memory, but engine.device is cpu");
    setting.memory = memory_share(setting.ranks_per_node);
    setting.memory_source = "nine tenths of what is free on this machine";
    setting.ops = make_cpu_ops(threads_of(setting.engine.threads, setting.ranks_per_node),
                               setting.engine.isa);
    return;
  }
  if (!options.gpu_memory && gpus.empty()) {
    fail_user(
        "engine.device is cuda and this machine has no GPU: say with --gpu-memory how many GiB of "
        "a GPU are free, such as 139 for an H200");
  }
  const Bytes free =
      options.gpu_memory ? static_cast<Bytes>(*options.gpu_memory) << 30U : gpu_free_memory(0);
  setting.memory = gpu_memory_share(free, 1);
  setting.memory_source = options.gpu_memory ? "nineteen twentieths of --gpu-memory"
                                             : "nineteen twentieths of what is free on this GPU";
  setting.ops = make_gpu_sizes(setting.engine.cuda_graphs.value_or(true));
}

std::optional<MachineLimits> limits_of(const PlanOptions& options, const Setting& setting) {
  if (!options.limits.empty()) return parse_limits(options.limits);
  if (!options.gpu.empty()) return gpu_limits(options.gpu, setting.model.dtype);
  if (!options.measure) return std::nullopt;
  const int threads = threads_of(setting.engine.threads, setting.ranks_per_node);
  return measured_limits(std::min(available_cores(), threads * setting.ranks_per_node),
                         setting.ranks_per_node);
}

}  // namespace

int command_plan(const PlanOptions& options) {
  const Job job = load_job(options.job, options.overrides);
  const ModelReader reader(job.model);
  Setting setting;
  setting.model = facts_of(reader);
  setting.engine = job.engine;
  const JobParallel& parallel = job.parallel;
  const Layout asked{parallel.tp, parallel.pp, parallel.sp, parallel.ep, parallel.dp.value_or(1)};
  setting.ranks = options.ranks.value_or(static_cast<int>(
      std::min<std::int64_t>(asked.world_size(), std::numeric_limits<int>::max())));
  setting.ranks_per_node = std::min(options.gpus_per_node.value_or(setting.ranks), setting.ranks);
  set_processor(options, setting);
  setting.digest = job.output.digest;
  setting.limits = limits_of(options, setting);

  print_model(job, setting);
  if (options.ranks) {
    print_table(setting);
    return kExitSuccess;
  }
  const LayoutVerdict verdict = judge_in(setting, asked);
  print_rules(layout_limits(setting.model, setting.engine.layers.value_or(0)));
  fmt::print("\n");
  print_verdict(verdict, setting.model.config);
  if (verdict.sizes) {
    fmt::print("{}", traffic_text(verdict, setting.digest));
    if (setting.limits) fmt::print("{}", speed_text(verdict, *setting.limits, setting.digest));
  }
  return verdict.violations.empty() ? kExitSuccess : kExitUserError;
}

}  // namespace weft
