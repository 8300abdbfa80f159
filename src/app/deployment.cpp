#include "app/deployment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "app/end_tokens.h"
#include "app/model_text.h"
#include "app/weight_loading.h"
#include "base/build_id.h"
#include "base/cancelled.h"
#include "base/error.h"
#include "base/machine.h"
#include "base/version.h"
#include "comm/session.h"
#include "comm/timed_group.h"
#include "cuda/devices.h"
#include "cuda/nccl_group.h"
#include "cuda/staged_group.h"
#include "text/library_versions.h"

namespace weft {
namespace {

/// The least of all ranks' values.
Bytes least(Group& group, Bytes value) {
  std::vector<Bytes> all(static_cast<std::size_t>(group.size()));
  group.all_gather(std::as_bytes(std::span(&value, 1)), std::as_writable_bytes(std::span(all)),
                   equal_counts(group, sizeof(Bytes)));
  return *std::min_element(all.begin(), all.end());
}

}  // namespace

EngineConfig engine_config_of(const JobEngine& engine, Bytes memory) {
  EngineConfig engine_config;
  engine_config.max_batch_tokens = engine.max_batch_tokens;
  engine_config.max_sequences = engine.max_sequences;
  engine_config.max_sequence_length = engine.max_sequence_length;
  engine_config.block_tokens = engine.kv_block;
  engine_config.prefill_chunk = engine.prefill_chunk;
  engine_config.sp_threshold = engine.sp_threshold;
  engine_config.prefix_sharing = engine.prefix_sharing;
  engine_config.async_scheduling = engine.async_scheduling;
  engine_config.layers = engine.layers.value_or(0);
  if (engine.kv_memory.kind == MemoryAmount::Kind::bytes)
    engine_config.kv_bytes = engine.kv_memory.bytes;
  if (engine.kv_memory.kind == MemoryAmount::Kind::fraction) {
    engine_config.kv_bytes =
        static_cast<Bytes>(static_cast<double>(memory) * engine.kv_memory.fraction);
  }
  return engine_config;
}

Layout layout_of(const JobParallel& parallel, const ModelFacts& model, std::int64_t layers,
                 int ranks) {
  Layout layout{parallel.tp, parallel.pp, parallel.sp, parallel.ep, 1};
  const std::int64_t replica = std::max<std::int64_t>(1, layout.replica_size());
  layout.dp = parallel.dp.value_or(std::max(1, static_cast<int>(ranks / replica)));
  const std::vector<std::string> found = violations(layout, layout_limits(model, layers), ranks);
  if (!found.empty()) {
    fail_user("this layout is not legal here:\n  {}", fmt::join(found, "\n  "));
  }
  return layout;
}

Bytes memory_share(int ranks_on_host) {
  return available_memory() / 10 * 9 / static_cast<Bytes>(ranks_on_host);
}

Bytes gpu_memory_share(Bytes free, int ranks) { return free / 20 * 19 / static_cast<Bytes>(ranks); }

ModelFacts facts_of(const ModelReader& reader) {
  return {reader.config(), reader.caps(), reader.dtype()};
}

void check_numerics(const JobEngine& engine, bool cuda) {
  if (engine.numerics == Numerics::fast && !cuda) {
    fail_user("engine.numerics is fast, which only GPUs have: use invariant");
  }
}

void check_gpu_settings(const JobEngine& engine, bool cuda) {
  if (cuda) return;
  for (const auto& [asked, key] : {std::pair{engine.cuda_graphs.value_or(false), "cuda_graphs"},
                                   std::pair{engine.symmetric_memory, "symmetric_memory"}}) {
    if (asked) fail_user("engine.{} is true, and nothing runs on GPUs: leave it out", key);
  }
}

void check_graphs(const JobEngine& engine, const Partition& part) {
  if (!engine.cuda_graphs.value_or(false) || FfnLayers::repeats(part)) return;
  fail_user(
      "engine.cuda_graphs is true, but with experts spread over ep={} parts the host must know "
      "which of them each token chose, and no step is recorded: use auto",
      part.moe.coordinates.ep);
}

Deployment::Deployment(const std::filesystem::path& model, const JobParallel& parallel,
                       const JobEngine& engine, Group& world, JobControl& control, bool may_shorten)
    : control_(control), async_scheduling_(engine.async_scheduling) {
  const int ranks_on_host = host_share(world).ranks;
  cores_ = rank_cores(engine.threads, world);
  threads_ = cores_[static_cast<std::size_t>(world.rank())].threads;
  device_ = choose_device(engine, world);
  agree(world, [&] { check_numerics(engine, device_.cuda); });
  agree(world, [&] { open(model, parallel, engine, world); });
  agree(world, [&] { check_gpu_settings(engine, device_.cuda); });
  replica_ = make_timed_group(replica_of(engine, world), tracer_);
  groups_ = std::make_unique<ReplicaGroups>(*replica_, layout_);
  directives_ = world.split(coordinates_.dp);
  if (weft::broadcasts_weights(engine.load, layout_.dp, model, world)) {
    peers_ = world.split(replica_->rank());
    reader_->share_with(peers_.get());
  }
  world.barrier();  // what all ranks of a GPU have taken so far counts
  const Bytes memory = least(world, own_memory(ranks_on_host));
  const ModelFacts facts = facts_of(*reader_);
  agree(world, [&] {
    const std::vector<Partition> parts = partitions_of(facts, layout_, engine.layers.value_or(0));
    EngineConfig engine_config = engine_config_of(engine, memory);
    engine_config.may_shorten = may_shorten;
    sizes_ = size_engine(engine_config, layout_, parts, memory, *ops_);
    part_ = parts[partition_index(layout_, coordinates_)];
    check_graphs(engine, part_);
  });
}

void Deployment::open(const std::filesystem::path& model, const JobParallel& parallel,
                      const JobEngine& engine, Group& world) {
  reader_ = std::make_unique<ModelReader>(model);
  layout_ = layout_of(parallel, facts_of(*reader_), engine.layers.value_or(0), world.size());
  coordinates_ = coordinates_of(layout_, world.rank());
  tokenizer_ = tokenizer_of(*reader_);
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

Bytes Deployment::own_memory(int ranks_on_host) const {
  if (!device_.cuda) return memory_share(ranks_on_host);
  return gpu_memory_share(gpu_free_memory(device_.device), device_.sharing);
}

std::unique_ptr<Group> Deployment::replica_of(const JobEngine& engine, Group& world) const {
  std::unique_ptr<Group> group = world.split(coordinates_.dp);
  if (gpu_ops_ == nullptr) return group;
  const bool found = least(world, nccl_release().empty() ? 0 : 1) == 1;
  if (engine.collectives == Collectives::nccl && !found) {
    agree(world, [] { fail_user("engine.collectives is nccl, but libnccl.so.2 is not found"); });
  }
  // NCCL refuses ranks that share a GPU unless it is told otherwise.
  const bool nccl = engine.collectives == Collectives::nccl ||
                    (engine.collectives == Collectives::automatic && found && !engine.share_gpus);
  if (engine.cuda_graphs.value_or(false) && layout_.tp > 1 && !nccl) {
    agree(world, [] {
      fail_user(
          "engine.cuda_graphs is true, but steps of ranks that exchange data by way of the "
          "hosts' memory are not recorded: use auto");
    });
  }
  if (engine.symmetric_memory && layout_.tp > 1) {
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
    return control_.watch(
        make_nccl_group(std::move(group), *gpu_ops_, engine.watchdog_seconds,
                        fmt::format("rank {} of {} on {}", world.rank(), world.size(), host_name()),
                        engine.symmetric_memory));
  }
  return make_staged_group(std::move(group), *gpu_ops_);
}

void Deployment::load() {
  control_.activity().begin_phase(JobPhase::loading);
  const Tracer::Scope scope(tracer_, Phase::load);
  reader_->stop_when([this] { return control_.stop_asked(); });
  std::optional<Weights> weights;
  // The rest is done together, which no rank may begin whose peers have failed to load.
  if (!agree_unless_cancelled(*replica_, [&] { weights = load_weights(*reader_, part_, *ops_); })) {
    throw Cancelled();
  }
  model_ =
      std::make_unique<Model>(std::move(*weights), part_, sizes_.shape, *ops_, *groups_, tracer_);
}

std::unique_ptr<Engine> Deployment::make_engine(bool digest) {
  require(model_ != nullptr, "the model is not loaded");
  EngineOptions options;
  options.limits = sizes_.limits;
  options.max_sequence_length = sizes_.max_sequence_length;
  options.digest = digest;
  options.async_scheduling = async_scheduling_;
  for (const EndToken& token : end_tokens(reader_->config(), tokenizer_.get())) {
    options.eos.push_back(token.id);
  }
  return std::make_unique<Engine>(*model_, tokenizer_.get(), std::move(options));
}

bool Deployment::check_same_everywhere(const std::string& job, const std::filesystem::path& prompts,
                                       Group& world) const {
  Digest prompts_digest;
  const bool read = agree_unless_cancelled(world, [&] {
    prompts_digest = digest_of_file(prompts, [this] { return control_.stop_asked(); });
  });
  if (!read) return false;
  const std::pair<const char*, std::string> mine[] = {
      {"program (another version or build: weft --version)",
       fmt::format("{} {} {}", kVersion, kContractVersion, build_id())},
      {"library for patterns or for Unicode", text_library_versions()},
      {"job", digest_of(job).hex()},
      {"model", reader_->manifest().digest.hex()},
      {"prompt file", prompts_digest.hex()}};
  const std::vector<std::string> hosts = gather_strings(world, host_name());
  for (const auto& thing : mine) {
    const std::vector<std::string> values = gather_strings(world, thing.second);
    const auto other = std::find_if(values.begin(), values.end(),
                                    [&](const std::string& v) { return v != values.front(); });
    if (other == values.end()) continue;
    const auto rank = static_cast<std::size_t>(other - values.begin());
    agree(world, [&] {
      fail_user("rank {} on {} has another {} than rank 0 on {}", rank, hosts[rank], thing.first,
                hosts.front());
    });
  }
  return true;
}

Bytes Deployment::peak_memory() {
  const Memory* const messages = groups_->tp().message_memory();
  return ops_->memory().peak() + (messages == nullptr ? 0 : messages->peak());
}

Footprint Deployment::footprint() const { return footprint_of(part_, sizes_.shape, *ops_); }

}  // namespace weft
