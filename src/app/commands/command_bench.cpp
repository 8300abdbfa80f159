// `weft bench`: speed of a model's steps beside this machine's limits.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>
#include <vector>

#include "app/commands/bench_parts.h"
#include "app/commands/cli.h"
#include "app/commands/commands.h"
#include "app/deployment.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/machine.h"
#include "comm/launch.h"
#include "comm/session.h"
#include "ops/limits.h"
#include "plan/measure.h"

namespace weft {
namespace {

/// Prefill of a prompt, decode of few and many sequences, decode behind a long context.
std::vector<StepCase> cases_of(const BenchOptions& options) {
  std::vector<StepCase> cases = {{1, 1, 128}, {4, 1, 128}, {16, 1, 128}, {32, 1, 128}, {1, 512, 0}};
  if (options.long_cases) {
    cases.push_back({1, 1, 8192});
    cases.push_back({1, 4096, 0});
  }
  return cases;
}

JobEngine bench_engine(const BenchOptions& options, const std::vector<StepCase>& cases) {
  JobEngine engine;
  engine.isa = options.isa;
  engine.threads = options.threads;
  if (options.no_graphs) engine.cuda_graphs = false;
  engine.async_scheduling = !options.no_async_scheduling;
  engine.max_sequences = 0;
  for (const StepCase& step : cases) {
    engine.max_batch_tokens = std::max(engine.max_batch_tokens, step.tokens());
    engine.max_sequences = std::max(engine.max_sequences, step.sequences);
    engine.max_sequence_length = std::max(engine.max_sequence_length, step.context + step.rows + 1);
  }
  if (options.parts) engine.max_sequences = std::max(engine.max_sequences, kSampledSequences);
  return engine;
}

/// The sum of all ranks' values.
double sum_over(Group& group, double value) {
  std::vector<double> all(static_cast<std::size_t>(group.size()));
  group.all_gather(std::as_bytes(std::span(&value, 1)), std::as_writable_bytes(std::span(all)),
                   equal_counts(group, sizeof(double)));
  double sum = 0;
  for (const double part : all) sum += part;
  return sum;
}

void print_case(const StepCase& step, std::vector<double> seconds, const StepWork& work,
                const std::optional<CpuLimits>& limits, DType dtype) {
  std::sort(seconds.begin(), seconds.end());
  const double time = seconds[seconds.size() / 2];
  const std::string what =
      step.rows > 1 ? fmt::format("prefill {} tokens", step.rows)
                    : fmt::format("decode {} x 1 behind {}", step.sequences, step.context);
  const auto share = [&](double rate, double CpuLimits::*limit) {
    return limits ? fmt::format(" ({:>3.0f} %)", 100 * rate / ((*limits).*limit)) : std::string();
  };
  const double read = work.bytes / time;
  const double computed = work.flops / time;
  fmt::print(
      "{:<26}{:>10.2f} ms [{:.2f} … {:.2f}] {:>9.1f} tok/s {:>7.1f} GB/s{} {:>7.1f} GFLOP/s{}\n",
      what, time * 1e3, seconds.front() * 1e3, seconds.back() * 1e3,
      static_cast<double>(step.tokens()) / time, read / 1e9,
      share(read, &CpuLimits::read_bytes_per_second), computed / 1e9,
      share(computed, dtype == DType::bf16 ? &CpuLimits::bf16_flops_per_second
                                           : &CpuLimits::flops_per_second));
  std::fflush(stdout);
}

/// From the start of the process to the end of the first step, on this rank.
struct Startup {
  double before = 0;   ///< seconds until loading began
  double loading = 0;  ///< seconds
  double step = 0;     ///< seconds of the first step
  Bytes read = 0;      ///< while loading
};

Startup start(Deployment& deployment, Group& world, const StepCase& first) {
  Startup startup;
  startup.before = process_age();
  const Stopwatch load;
  agree(world, [&] { deployment.load(); });
  startup.loading = load.seconds();
  startup.read = deployment.reader().bytes_read();
  const Stopwatch step;
  time_steps(first, deployment.model(), 0);
  startup.step = step.seconds();
  return startup;
}

void print_startup(const Startup& startup) {
  fmt::print("weights loaded at {:.2f} GB/s a rank ({:.2f} s)\n",
             static_cast<double>(startup.read) / startup.loading / 1e9, startup.loading);
  fmt::print(
      "start-up to first step: {:.2f} s besides loading ({:.2f} s before it, {:.3f} s the step)\n",
      startup.before + startup.step, startup.before, startup.step);
}

int bench(const BenchOptions& options, Group& world, JobControl& control) {
  const std::vector<StepCase> cases = cases_of(options);
  JobParallel parallel;
  parallel.tp = world.size();
  parallel.dp = 1;
  Deployment deployment(options.model_dir, parallel, bench_engine(options, cases), world, control);
  const Startup startup = start(deployment, world, cases.front());
  std::optional<CpuLimits> limits;  // what a GPU can do, its own measurements say
  if (!deployment.device().cuda) {
    agree(world, [&] { limits = measure_cpu_limits(deployment.threads(), options.isa); });
    limits->read_bytes_per_second = sum_over(world, limits->read_bytes_per_second);
    limits->new_bytes_per_second = sum_over(world, limits->new_bytes_per_second);
    limits->flops_per_second = sum_over(world, limits->flops_per_second);
    limits->bf16_flops_per_second = sum_over(world, limits->bf16_flops_per_second);
  }
  if (world.rank() == 0) {
    fmt::print("{} ranks, each {}\n", world.size(), deployment.ops().description());
    print_startup(startup);
    if (limits) {
      fmt::print(
          "limits of all ranks together: read {:.1f} GB/s, new memory filled {:.1f} GB/s, fp32 "
          "multiply-add {:.0f} GFLOP/s, of bf16 {:.0f} GFLOP/s\n",
          limits->read_bytes_per_second / 1e9, limits->new_bytes_per_second / 1e9,
          limits->flops_per_second / 1e9, limits->bf16_flops_per_second / 1e9);
    }
    fmt::print("medians of {} steps [fastest … slowest]\n", options.runs);
  }
  for (const StepCase& step : cases) {
    if (blocks_of(step, deployment.sizes().shape.block_tokens) >
        deployment.sizes().shape.kv_blocks) {
      if (world.rank() == 0) fmt::print("skipped for want of memory: {} tokens\n", step.context);
      continue;
    }
    const std::vector<double> seconds = time_steps(step, deployment.model(), options.runs);
    StepWork work = work_of(step, deployment.model().partition());
    work.bytes = sum_over(world, work.bytes);
    work.flops = sum_over(world, work.flops);
    if (world.rank() == 0) print_case(step, seconds, work, limits, deployment.reader().dtype());
  }
  if (options.parts) {
    bench_dispatcher(deployment, options.runs);
    bench_sampling(deployment);
  }
  return kExitSuccess;
}

}  // namespace

int command_bench(const BenchOptions& options) {
  const Launch launch = own_launch();
  JobControl control(JobEngine{}.watchdog_seconds, nullptr, launch.rank);
  return with_session(control, launch,
                      [&](Group& world) { return bench(options, world, control); });
}

}  // namespace weft
