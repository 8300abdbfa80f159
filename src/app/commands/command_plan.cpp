// `weft plan`: what a job would need, before it is queued. Needs no MPI.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "app/commands/commands.h"
#include "app/commands/plan_model.h"
#include "app/commands/plan_prompts.h"
#include "app/commands/plan_simulation.h"
#include "app/commands/plan_speed.h"
#include "app/commands/plan_table.h"
#include "app/end_tokens.h"
#include "app/engine_settings.h"
#include "app/job/yaml_value.h"
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

// Layouts that are simulated at most, of each number of nodes and of --ranks.
constexpr std::size_t kCurve = 6;
constexpr std::size_t kRanking = 40;

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
      "model     {}\n"
      "          {}, {} layers, hidden {}, {} query and {} key/value heads of {},\n"
      "          ffn {}, vocabulary {}, {}\n",
      escaped(job.model.string()), config.family->name, config.layers, config.hidden,
      config.query_heads, config.kv_heads, config.head_dim, config.ffn, config.vocab,
      name(setting.model.dtype));
  if (!setting.converted) {
    fmt::print("          not converted yet: planned as weft convert makes it by default\n");
  }
  print_experts(config);
  fmt::print("ends      {}\n", to_text(end_tokens(config, model.tokenizer.get(), model.ends_source),
                                       model.tokenizer.get()));
  fmt::print("memory    {} for each of {} ranks on a node\n          ({})\n",
             human_bytes(setting.memory), setting.ranks_per_node, setting.memory_source);
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

/// Parts that hold the same, as one row of the table of ranks: neighbours of a stage, then stages.
struct RankRow {
  Range parts;  ///< of the first stage
  Range stages;
  Range sublayers;  ///< of all these stages
  Footprint footprint;
};

/// Whether two ranks hold the same to within a hundredth.
bool alike(const Footprint& a, const Footprint& b) {
  const auto near = [](Bytes x, Bytes y) { return 100 * (std::max(x, y) - std::min(x, y)) <= x; };
  return near(a.weights, b.weights) && near(a.kv_cache, b.kv_cache) && near(a.total(), b.total());
}

/// One row for each rank, or few for many.
std::vector<RankRow> rank_rows(const LayoutVerdict& verdict, bool each) {
  std::vector<RankRow> rows;
  std::vector<std::size_t> stage_begin;  // among the rows
  for (std::size_t i = 0; i < verdict.parts.size(); ++i) {
    const Stage& stage = verdict.parts[i].stage;
    const auto part = static_cast<std::int64_t>(i);
    const bool new_stage = rows.empty() || rows.back().stages.begin != stage.index;
    if (new_stage) stage_begin.push_back(rows.size());
    if (!each && !new_stage && alike(rows.back().footprint, verdict.footprints[i])) {
      ++rows.back().parts.end;
    } else {
      rows.push_back({{part, part + 1},
                      {stage.index, stage.index + 1},
                      stage.sublayers,
                      verdict.footprints[i]});
    }
  }
  if (each) return rows;
  std::vector<RankRow> few;
  std::size_t last = 0;  // the first row of the last stage in `few`
  stage_begin.push_back(rows.size());
  for (std::size_t s = 0; s + 1 < stage_begin.size(); ++s) {
    const std::span<const RankRow> stage(rows.data() + stage_begin[s],
                                         rows.data() + stage_begin[s + 1]);
    const bool same =
        s > 0 &&
        std::equal(stage.begin(), stage.end(), few.begin() + static_cast<std::ptrdiff_t>(last),
                   few.end(), [](const RankRow& a, const RankRow& b) {
                     return alike(a.footprint, b.footprint) && a.parts.size() == b.parts.size();
                   });
    if (!same) {
      last = few.size();
      few.insert(few.end(), stage.begin(), stage.end());
      continue;
    }
    for (std::size_t i = last; i < few.size(); ++i) {
      few[i].stages.end = stage.front().stages.end;
      few[i].sublayers.end = stage.front().sublayers.end;
    }
  }
  return few;
}

/// "3", "3-7".
std::string in_words(Range range) {
  return range.size() == 1 ? std::to_string(range.begin)
                           : fmt::format("{}-{}", range.begin, range.end - 1);
}

void print_ranks(const LayoutVerdict& verdict, bool each) {
  // Where an expert group spans several sp ranks, these hold other experts.
  const bool several = verdict.layout.ep > verdict.layout.tp;
  fmt::print("\n{:>6} {}{:>6} {:>11} {:>11} {:>11} {:>11} {:>11}  {}\n", "stage",
             several ? "   sp " : "", "tp", "weights", "kv cache", "activations", "buffers",
             "total", "layers");
  for (const RankRow& row : rank_rows(verdict, each)) {
    const Footprint& footprint = row.footprint;
    const Partition& first = verdict.parts[static_cast<std::size_t>(row.parts.begin)];
    const Partition& last = verdict.parts[static_cast<std::size_t>(row.parts.end - 1)];
    const Range domains{first.moe.coordinates.domain(), last.moe.coordinates.domain() + 1};
    // Over several domains, all their tp ranks hold the same.
    const Range ranks =
        domains.size() > 1 ? Range{0, first.ranks} : Range{first.rank, last.rank + 1};
    Stage stages = first.stage;
    stages.sublayers = row.sublayers;
    fmt::print("{:>6} {}{:>6} {:>11} {:>11} {:>11} {:>11} {:>11}  {}\n", in_words(row.stages),
               several ? fmt::format("{:>5} ", in_words(domains)) : "", in_words(ranks),
               human_bytes(footprint.weights), human_bytes(footprint.kv_cache),
               human_bytes(footprint.activations), human_bytes(footprint.buffers),
               human_bytes(footprint.total()), layers_in_words(stages));
  }
}

void print_verdict(const LayoutVerdict& verdict, const ModelConfig& config, bool verbose) {
  const bool legal = verdict.violations.empty();
  fmt::print("layout    {}{}\n", to_string(verdict.layout), legal ? "" : ": not legal");
  if (!legal) {
    for (const std::string& text : verdict.violations) fmt::print("  not possible: {}\n", text);
    return;
  }
  const EngineSizes& sizes = *verdict.sizes;
  fmt::print(
      "engine    {} rows a step, {} sequences at a time, sequences up to {} tokens,\n"
      "          {} cache pages of {} tokens{}\n",
      sizes.limits.max_batch_tokens, sizes.limits.max_sequences, sizes.max_sequence_length,
      sizes.limits.kv_blocks, sizes.limits.block_tokens,
      verdict.layout.sp > 1 ? " (on each of the sp ranks)" : "");
  print_ranks(verdict, verbose);
  if (verbose) print_map(verdict.layout, config);
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

void print_table(const PlanSetting& setting, const PlanOptions& options, PlanOrder order) {
  const std::vector<PlannedLayout> layouts = planned_layouts(setting, order);
  fmt::print("{}", table_text(setting, layouts, order, options.all));
  const bool any = layouts.front().violations.empty();
  if (any && !options.verbose) return;
  fmt::print("\n");
  print_rules(layout_limits(setting.model, setting.engine.layers.value_or(0)));
  print_refusals(Primitive::sp, "N");
  print_alternatives();
}

void print_layout(const PlanSetting& setting, const PlanOptions& options, const Layout& asked) {
  const LayoutVerdict verdict = judge_in(setting, asked);
  if (verdict.sizes) check_graphs(setting.engine, verdict.parts.front());
  if (options.verbose || !verdict.sizes) {
    print_rules(layout_limits(setting.model, setting.engine.layers.value_or(0)));
    fmt::print("\n");
  }
  print_verdict(verdict, setting.model.config, options.verbose);
  if (!verdict.sizes) return;
  if (options.verbose) fmt::print("{}", traffic_text(verdict, setting.digest));
  if (setting.limits)
    fmt::print("{}", speed_text(verdict, *setting.limits, setting.digest, setting.ranks_per_node));
  if (!options.verbose)
    fmt::print("\n--verbose shows what is divided, and what travels in a step\n");
}

void print_json(const Job& job, const PlanSetting& setting, const PlanOptions& options,
                const Layout& asked, PlanOrder order) {
  std::string prompts = check_prompts(job, setting.model.config.vocab);
  prompts = prompts.substr(10, prompts.size() - 11);  // without "prompts   " and the end of line
  const std::vector<PlannedLayout> layouts =
      options.ranks ? planned_layouts(setting, order) : std::vector{planned(setting, asked)};
  nlohmann::ordered_json plan = {{"model", job.model.string()},
                                 {"prompts", prompts},
                                 {"ranks", setting.ranks},
                                 {"ranks_per_node", setting.ranks_per_node},
                                 {"memory_bytes", setting.memory}};
  if (setting.limits) plan["limits"] = setting.limits->source;
  plan["layouts"] = table_json(layouts);
  fmt::print("{}\n", plan.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

/// What `--simulate` says; see plan_simulation.h.
int simulate_plan(const Job& job, PlanSetting& setting, const PlanModel& model,
                  const PlanOptions& options, const Layout& asked) {
  if (!setting.limits) {
    fail_user("--simulate needs to know how fast a rank is: --gpu, --limits or --measure");
  }
  std::optional<std::int64_t> time_limit = job.run.time_limit;
  if (options.time_limit) {
    YamlValue value;
    value.key = value.place = "--time-limit";
    value.items = {{*options.time_limit, false}};
    time_limit = value.duration();
  }
  const Roofline hardware(*setting.limits);
  const std::vector<SimulatedRequest> requests =
      simulated_requests(job, setting.model.config.vocab, options.answers);
  std::vector<SimulatedLayout> layouts;
  if (!options.nodes.empty()) {
    for (const int nodes : options.nodes) {
      std::vector<SimulatedLayout> found =
          simulate_layouts(setting, nodes * setting.ranks_per_node, hardware, requests, kCurve);
      if (!found.empty()) layouts.push_back(std::move(found.front()));
    }
  } else if (options.ranks) {
    layouts = simulate_layouts(setting, setting.ranks, hardware, requests, kRanking);
  } else {
    const LayoutVerdict verdict = judge_in(setting, asked);
    if (!verdict.sizes) fail_user("{}", verdict.violations.front());
    layouts.push_back(simulate_layout(setting, asked, hardware, requests));
  }
  if (layouts.empty()) fail_user("no layout is possible: see weft plan --ranks {}", setting.ranks);
  if (options.json) {
    nlohmann::ordered_json plan = {{"model", job.model.string()},
                                   {"requests", requests.size()},
                                   {"answers", options.answers},
                                   {"step_times", hardware.source()},
                                   {"layouts", nlohmann::ordered_json::array()}};
    for (const SimulatedLayout& each : layouts) plan["layouts"].push_back(simulation_json(each));
    fmt::print("{}\n", plan.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return kExitSuccess;
  }
  print_model(job, setting, model);
  fmt::print("prompts   {}: {} completions, answers: {}\n\n", escaped(job.input.file.string()),
             requests.size(), options.answers);
  if (!options.nodes.empty()) {
    fmt::print("{}", scaling_text(layouts));
  } else if (options.ranks) {
    fmt::print("{}", ranking_text(layouts, setting, options.all));
  } else {
    fmt::print("layout    {}\n", to_string(asked));
  }
  if (options.nodes.empty()) {
    fmt::print("{}", simulation_text(layouts.front(), setting, time_limit));
  }
  fmt::print("step times: a bound that no run reaches, without loading, from {}\n",
             hardware.source());
  return kExitSuccess;
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
  if (!options.nodes.empty()) setting.ranks = options.gpus_per_node.value_or(setting.ranks);
  setting.ranks_per_node = std::min(options.gpus_per_node.value_or(setting.ranks), setting.ranks);
  set_processor(options, setting);
  setting.digest = job.output.digest;
  setting.limits = limits_of(options, setting);

  const PlanOrder order = plan_order(options.sort);
  if (options.simulate) return simulate_plan(job, setting, model, options, asked);
  if (options.json) {
    print_json(job, setting, options, asked, order);
  } else {
    print_model(job, setting, model);
    fmt::print("{}\n", check_prompts(job, setting.model.config.vocab));
    if (options.ranks) {
      print_table(setting, options, order);
    } else {
      print_layout(setting, options, asked);
    }
  }
  return kExitSuccess;
}

}  // namespace weft
