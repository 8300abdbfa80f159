#include "app/rank_runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "app/engine_settings.h"
#include "base/error.h"
#include "comm/session.h"
#include "comm/timed_group.h"
#include "cuda/devices.h"
#include "cuda/nccl_group.h"
#include "cuda/staged_group.h"
#include "ops/make_cpu_ops.h"

namespace weft {

Bytes least_of_ranks(Group& group, Bytes value) {
  std::vector<Bytes> all(static_cast<std::size_t>(group.size()));
  group.all_gather(std::as_bytes(std::span(&value, 1)), std::as_writable_bytes(std::span(all)),
                   equal_counts(group, sizeof(Bytes)));
  return *std::min_element(all.begin(), all.end());
}

RankRuntime::RankRuntime(const JobEngine& engine, Group& world)
    : cores_(rank_cores(engine.threads, world)),
      threads_(cores_[static_cast<std::size_t>(world.rank())].threads),
      ranks_on_host_(host_share(world).ranks),
      device_(choose_device(engine, world)) {}

void RankRuntime::make_ops(const JobEngine& engine) {
  if (!device_.cuda) {
    ops_ = make_cpu_ops(threads_, engine.isa);
    return;
  }
  GpuOptions options;
  options.device = device_.device;
  options.fast = engine.numerics == Numerics::fast;
  options.graphs = engine.cuda_graphs.value_or(true);
  std::unique_ptr<GpuOps> gpu = make_gpu_ops(options);
  gpu_ops_ = gpu.get();
  ops_ = std::move(gpu);
  if (DeviceClock* const clock = ops_->clock()) tracer_.follow(*clock);
}

Bytes RankRuntime::memory() const {
  if (!device_.cuda) return memory_share(ranks_on_host_);
  return gpu_memory_share(gpu_free_memory(device_.device), device_.sharing);
}

std::unique_ptr<Group> RankRuntime::replica_group(const JobEngine& engine, const Layout& layout,
                                                  Group& world, JobControl& control) {
  return make_timed_group(untimed_replica_group(engine, layout, world, control), tracer_);
}

std::unique_ptr<Group> RankRuntime::untimed_replica_group(const JobEngine& engine,
                                                          const Layout& layout, Group& world,
                                                          JobControl& control) {
  std::unique_ptr<Group> group = world.split(coordinates_of(layout, world.rank()).dp);
  if (gpu_ops_ == nullptr) return group;
  const bool found = least_of_ranks(world, nccl_release().empty() ? 0 : 1) == 1;
  if (engine.collectives == Collectives::nccl && !found) {
    agree(world, [] { fail_user("engine.collectives is nccl, but libnccl.so.2 is not found"); });
  }
  // NCCL refuses ranks that share a GPU unless it is told otherwise.
  const bool nccl = engine.collectives == Collectives::nccl ||
                    (engine.collectives == Collectives::automatic && found && !engine.share_gpus);
  if (engine.cuda_graphs.value_or(false) && layout.tp > 1 && !nccl) {
    agree(world, [] {
      fail_user(
          "engine.cuda_graphs is true, but steps of ranks that exchange data by way of the "
          "hosts' memory are not recorded: use auto");
    });
  }
  if (engine.symmetric_memory && layout.tp > 1) {
    agree(world, [&] {
      if (!nccl) {
        fail_user("engine.symmetric_memory is true, but ranks do not exchange data by NCCL");
      }
      if (!nccl_has_windows()) {
        fail_user("engine.symmetric_memory is true, but NCCL {} on {} has no symmetric memory",
                  nccl_release(), host_name());
      }
    });
  }
  if (nccl && group->size() > 1) {
    return control.watch(
        make_nccl_group(std::move(group), *gpu_ops_, engine.watchdog_seconds,
                        fmt::format("rank {} of {} on {}", world.rank(), world.size(), host_name()),
                        engine.symmetric_memory));
  }
  return make_staged_group(std::move(group), *gpu_ops_);
}

}  // namespace weft
