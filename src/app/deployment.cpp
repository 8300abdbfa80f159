#include "app/deployment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <thread>

#include "base/error.h"
#include "base/machine.h"
#include "comm/session.h"
#include "cuda/devices.h"

namespace weft {
namespace {

/// The least of all ranks' values.
Bytes least(Group& group, Bytes value) {
  std::vector<Bytes> all(static_cast<std::size_t>(group.size()));
  group.all_gather(std::as_bytes(std::span(&value, 1)), std::as_writable_bytes(std::span(all)),
                   equal_counts(group, sizeof(Bytes)));
  return *std::min_element(all.begin(), all.end());
}

/// Refuses tokenizer files that are not the ones that the manifest names.
void check_tokenizer_files(const ModelReader& reader) {
  for (const TokenizerFile& file : reader.manifest().tokenizer) {
    const std::filesystem::path path = reader.directory() / file.name;
    if (digest_of_file(path) != file.digest) {
      fail_user("{}: damaged, or changed since it was written", path.string());
    }
  }
}

}  // namespace

EngineWishes wishes_of(const JobEngine& engine, Bytes memory) {
  EngineWishes wishes;
  wishes.max_batch_tokens = engine.max_batch_tokens;
  wishes.max_sequences = engine.max_sequences;
  wishes.max_sequence_length = engine.max_sequence_length;
  wishes.page_tokens = engine.kv_block;
  wishes.prefill_chunk = engine.prefill_chunk;
  wishes.layers = engine.layers.value_or(0);
  if (engine.kv_memory.kind == MemoryAmount::Kind::bytes) wishes.kv_bytes = engine.kv_memory.bytes;
  if (engine.kv_memory.kind == MemoryAmount::Kind::fraction) {
    wishes.kv_bytes = static_cast<Bytes>(static_cast<double>(memory) * engine.kv_memory.fraction);
  }
  return wishes;
}

Layout layout_of(const JobParallel& parallel, const ModelFacts& model, int ranks) {
  Layout layout{parallel.tp, parallel.pp, parallel.sp, parallel.ep, 1};
  layout.dp = parallel.dp.value_or(std::max(1, ranks / std::max(1, layout.replica_size())));
  const std::vector<std::string> found = violations(layout, layout_limits(model), ranks);
  if (!found.empty()) {
    fail_user("this layout is not legal here:\n  {}", fmt::join(found, "\n  "));
  }
  return layout;
}

int threads_of(const std::optional<int>& asked, int ranks_on_host) {
  if (asked) return *asked;
  const int cores = available_cores();
  const int all = std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
  // A launcher that binds ranks has divided the cores already.
  return cores < all ? cores : std::max(1, cores / ranks_on_host);
}

Bytes memory_share(int ranks_on_host) {
  return available_memory() / 10 * 9 / static_cast<Bytes>(ranks_on_host);
}

ModelFacts facts_of(const ModelReader& reader) {
  return {reader.config(), reader.caps(), reader.dtype()};
}

void check_device(const JobEngine& engine) {
  if (engine.device == Device::cuda) {
    fail_user("engine.device is cuda, but this version computes on CPUs only: use cpu or auto");
  }
  if (engine.numerics == Numerics::fast) {
    fail_user("engine.numerics is fast, which exists on cuda only: use invariant");
  }
}

Deployment::Deployment(const std::filesystem::path& model, const JobParallel& parallel,
                       const JobEngine& engine, Group& world, bool may_shorten) {
  const int ranks_on_host = host_share(world).ranks;
  agree(world, [&] { open(model, parallel, engine, world, ranks_on_host); });
  replica_ = world.split(place_.dp);
  const Bytes memory = least(world, memory_share(ranks_on_host));
  const ModelFacts facts = facts_of(*reader_);
  agree(world, [&] {
    const std::vector<Partition> parts =
        partitions_of(facts, layout_.tp, engine.layers.value_or(0));
    EngineWishes wishes = wishes_of(engine, memory);
    wishes.may_shorten = may_shorten;
    sizes_ = size_engine(wishes, parts, memory, *ops_);
    part_ = parts[static_cast<std::size_t>(place_.tp)];
  });
}

void Deployment::open(const std::filesystem::path& model, const JobParallel& parallel,
                      const JobEngine& engine, Group& world, int ranks_on_host) {
  check_device(engine);
  reader_ = std::make_unique<ModelReader>(model);
  layout_ = layout_of(parallel, facts_of(*reader_), world.size());
  place_ = place_of(layout_, world.rank());
  check_tokenizer_files(*reader_);
  if (!reader_->manifest().tokenizer.empty()) tokenizer_ = load_tokenizer(model);
  threads_ = threads_of(engine.threads, ranks_on_host);
  ops_ = make_cpu_ops(threads_, engine.isa);
}

void Deployment::load() {
  model_ = std::make_unique<Model>(*reader_, part_, sizes_.shape, *ops_, *replica_);
}

std::unique_ptr<Engine> Deployment::make_engine(bool digest) {
  require(model_ != nullptr, "the model is not loaded");
  EngineOptions options;
  options.limits = sizes_.limits;
  options.max_sequence_length = sizes_.max_sequence_length;
  options.digest = digest;
  options.eos = reader_->config().eos;
  return std::make_unique<Engine>(*model_, tokenizer_.get(), std::move(options));
}

bool Deployment::leader_says(bool mine) {
  std::byte answer{static_cast<unsigned char>(mine ? 1 : 0)};
  replica_->broadcast({&answer, 1}, 0);
  return answer != std::byte{0};
}

Footprint Deployment::footprint() const { return footprint_of(part_, sizes_.shape, *ops_); }

}  // namespace weft
