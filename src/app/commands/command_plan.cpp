// `weft plan`: what a job would need, before it is queued. Needs no MPI.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "app/commands/commands.h"
#include "app/commands/plan_model.h"
#include "app/commands/plan_prompts.h"
#include "app/commands/plan_speed.h"
#include "app/commands/plan_table.h"
#include "app/end_tokens.h"
#include "app/engine_settings.h"
#include "app/rank_cores.h"
#include "base/core_limits.h"
#include "base/error.h"
#include "base/machine.h"
#include "base/message.h"
#include "cuda/devices.h"
#include "cuda/gpu_ops.h"
#include "layout/legality.h"
#include "layout/semantics.h"
#include "ops/make_cpu_ops.h"
#include "plan/layout_table.h"

namespace weft {
namespace {

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

void print_experts(const ModelConfig& config) {
  if (!config.has_experts()) return;
  const MoeConfig& moe = config.moe;
  fmt::print("experts   {} of width {} in {} of the layers, {} for each token", moe.experts,
             moe.ffn, std::count(moe.sparse.begin(), moe.sparse.end(), true), moe.per_token);
  if (moe.shared_ffn > 0) fmt::print(", and a shared one of width {}", moe.shared_ffn);
  fmt::print("\n");
}

void print_model(const Job& job, const PlanSetting& setting, const PlanModel& model) {
  const ModelConfig& config = setting.model.config;
  fmt::print(
      "model     {}: {}, {} layers, hidden {}, {} query and {} key/value heads of {}, "
      "ffn {}, vocabulary {}, {}\n",
      escaped(job.model.string()), config.family->name, config.layers, config.hidden,
      config.query_heads, config.kv_heads, config.head_dim, config.ffn, config.vocab,
      name(setting.model.dtype));
  if (!setting.converted) {
    fmt::print("          not converted yet: planned as weft convert makes it by default\n");
  }
  print_experts(config);
  fmt::print("ends      {}\n", to_text(end_tokens(config, model.tokenizer.get(), model.ends_source),
                                       model.tokenizer.get()));
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
  const bool legal = verdict.violations.empty();
  fmt::print("layout    {}{}\n", to_string(verdict.layout), legal ? "" : ": not legal");
  if (!legal) {
    for (const std::string& text : verdict.violations) fmt::print("  not possible: {}\n", text);
    return;
  }
  const EngineSizes& sizes = *verdict.sizes;
  fmt::print(
      "engine    {} rows a step, {} sequences at a time, sequences up to {} tokens, "
      "{} cache pages of {} tokens{}\n",
      sizes.limits.max_batch_tokens, sizes.limits.max_sequences, sizes.max_sequence_length,
      sizes.limits.kv_blocks, sizes.limits.block_tokens,
      verdict.layout.sp > 1 ? " (on each of the sp ranks)" : "");
  // Where an expert group spans several sp ranks, these hold other experts.
  const bool several = verdict.layout.ep > verdict.layout.tp;
  fmt::print("\n{:>5} {}{:>5} {:>12} {:>12} {:>12} {:>12} {:>12}  {}\n", "stage",
             several ? "   sp " : "", "tp", "weights", "kv cache", "activations", "buffers",
             "total", "layers");
  for (std::size_t i = 0; i < verdict.footprints.size(); ++i) {
    const Footprint& footprint = verdict.footprints[i];
    const Partition& part = verdict.parts[i];
    const std::string domain = several ? fmt::format("{:>5} ", part.moe.coordinates.domain()) : "";
    fmt::print("{:>5} {}{:>5} {:>12} {:>12} {:>12} {:>12} {:>12}  {}\n", part.stage.index, domain,
               part.rank, human_bytes(footprint.weights), human_bytes(footprint.kv_cache),
               human_bytes(footprint.activations), human_bytes(footprint.buffers),
               human_bytes(footprint.total()), layers_in_words(part.stage));
  }
  print_map(verdict.layout, config);
}

/// GiB that are free on a GPU, where the options tell.
std::optional<int> gpu_gib(const PlanOptions& options) {
  if (options.gpu_memory || options.gpu.empty()) return options.gpu_memory;
  return gpu_free_gib(options.gpu);
}

/// Sizes and memory of a rank that has a GPU to itself, or of one on this machine's CPU.
/// Where each rank of a node has its part of this process' cores.
double cores_of_rank(const PlanSetting& setting) {
  return static_cast<double>(available_cores()) / setting.ranks_per_node;
}

void set_processor(const PlanOptions& options, PlanSetting& setting) {
  const Device device = setting.engine.device;
  const std::optional<int> gib = gpu_gib(options);
  std::vector<GpuDevice> gpus;
  if (device != Device::cpu && !gib) gpus = gpu_devices();
  const bool cuda =
      device == Device::cuda || (device == Device::automatic && (gib || !gpus.empty()));
  check_numerics(setting.engine, cuda);
  check_gpu_settings(setting.engine, cuda);
  if (!cuda) {
    if (gib) {
      fail_user("{}, but engine.device is cpu", options.gpu_memory ? "--gpu-memory" : "--gpu");
    }
    setting.memory = memory_share(setting.ranks_per_node);
    setting.memory_source = "nine tenths of what is free on this machine";
    setting.ops = make_cpu_ops(threads_of(setting.engine.threads, cores_of_rank(setting)),
                               setting.engine.isa);
    return;
  }
  if (!gib && gpus.empty()) {
    fail_user(
        "engine.device is cuda and this machine has no GPU: say with --gpu which kind to plan for, "
        "or with --gpu-memory how many GiB of a GPU are free, such as 139 for an H200");
  }
  setting.memory = gpu_memory_share(gib ? static_cast<Bytes>(*gib) << 30U : gpu_free_memory(0), 1);
  setting.memory_source =
      "nineteen twentieths of " +
      (options.gpu_memory ? std::string("--gpu-memory")
       : gib              ? fmt::format("the {} GiB that are free on an {}", *gib, options.gpu)
                          : std::string("what is free on this GPU"));
  setting.ops = make_gpu_sizes(setting.engine.cuda_graphs.value_or(true));
}

std::optional<MachineLimits> limits_of(const PlanOptions& options, const PlanSetting& setting) {
  if (!options.limits.empty()) return parse_limits(options.limits);
  if (!options.gpu.empty()) return gpu_limits(options.gpu, setting.model.dtype);
  if (!options.measure) return std::nullopt;
  const int threads = threads_of(setting.engine.threads, cores_of_rank(setting));
  return measured_limits(std::min(available_cores(), threads * setting.ranks_per_node),
                         setting.ranks_per_node, setting.engine.isa, setting.model.dtype);
}

}  // namespace

int command_plan(const PlanOptions& options) {
  const Job job = load_job(options.job, options.overrides);
  const PlanModel model = plan_model(job.model);
  PlanSetting setting;
  setting.model = model.facts;
  setting.converted = model.converted;
  setting.engine = job.engine;
  const JobParallel& parallel = job.parallel;
  const Layout asked{parallel.tp, parallel.pp, parallel.sp, parallel.ep, parallel.dp.value_or(1)};
  setting.ranks = options.ranks.value_or(static_cast<int>(
      std::min<std::int64_t>(asked.world_size(), std::numeric_limits<int>::max())));
  setting.ranks_per_node = std::min(options.gpus_per_node.value_or(setting.ranks), setting.ranks);
  set_processor(options, setting);
  setting.digest = job.output.digest;
  setting.limits = limits_of(options, setting);

  print_model(job, setting, model);
  fmt::print("{}\n", check_prompts(job, setting.model.config.vocab));
  if (options.ranks) {
    fmt::print("{}\n", table_text(setting));
    print_rules(layout_limits(setting.model, setting.engine.layers.value_or(0)));
    print_refusals(Primitive::sp, "N");
    print_alternatives();
    return kExitSuccess;
  }
  const LayoutVerdict verdict = judge_in(setting, asked);
  if (verdict.sizes) check_graphs(setting.engine, verdict.parts.front());
  print_rules(layout_limits(setting.model, setting.engine.layers.value_or(0)));
  fmt::print("\n");
  print_verdict(verdict, setting.model.config);
  if (verdict.sizes) {
    fmt::print("{}", traffic_text(verdict, setting.digest));
    if (setting.limits) fmt::print("{}", speed_text(verdict, *setting.limits, setting.digest));
  }
  return kExitSuccess;
}

}  // namespace weft
