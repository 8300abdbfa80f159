#include "app/deployment.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/machine.h"
#include "base/version.h"
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

/// How many ranks run on the very cores that this one runs on: one where the launcher has bound
/// each rank to cores of its own, all of the host's where it has not.
int ranks_on_cores(Group& world) {
  const std::string mine = host_name() + " " + core_mask();
  const std::vector<std::string> all = gather_strings(world, mine);
  return static_cast<int>(std::count(all.begin(), all.end(), mine));
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

/// Whether there is more than the stop tokens of generation_config.json.
bool has_tokenizer(const ModelReader& reader) {
  const std::vector<TokenizerFile>& files = reader.manifest().tokenizer;
  return std::any_of(files.begin(), files.end(), [](const TokenizerFile& file) {
    return file.name != "generation_config.json";
  });
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
  const std::int64_t replica = std::max<std::int64_t>(1, layout.replica_size());
  layout.dp = parallel.dp.value_or(std::max(1, static_cast<int>(ranks / replica)));
  const std::vector<std::string> found = violations(layout, layout_limits(model), ranks);
  if (!found.empty()) {
    fail_user("this layout is not legal here:\n  {}", fmt::join(found, "\n  "));
  }
  return layout;
}

int threads_of(const std::optional<int>& asked, int ranks_on_cores) {
  return asked ? *asked : std::max(1, available_cores() / ranks_on_cores);
}

Bytes memory_share(int ranks_on_host) {
  return available_memory() / 10 * 9 / static_cast<Bytes>(ranks_on_host);
}

ModelFacts facts_of(const ModelReader& reader) {
  return {reader.config(), reader.caps(), reader.dtype()};
}

std::unique_ptr<Tokenizer> tokenizer_of(const ModelReader& reader) {
  check_tokenizer_files(reader);
  return has_tokenizer(reader) ? load_tokenizer(reader.directory()) : nullptr;
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
  const int on_cores = ranks_on_cores(world);
  agree(world, [&] { open(model, parallel, engine, world, on_cores); });
  watchdog_ = std::make_unique<Watchdog>(engine.watchdog_seconds,
                                         fmt::format("rank {} on {}", world.rank(), host_name()));
  replica_ = make_watched_group(world.split(place_.dp), *watchdog_);
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
                      const JobEngine& engine, Group& world, int ranks_on_cores) {
  check_device(engine);
  reader_ = std::make_unique<ModelReader>(model);
  layout_ = layout_of(parallel, facts_of(*reader_), world.size());
  place_ = place_of(layout_, world.rank());
  tokenizer_ = tokenizer_of(*reader_);
  threads_ = threads_of(engine.threads, ranks_on_cores);
  threads_per_core_ = static_cast<double>(threads_ * ranks_on_cores) / available_cores();
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

bool Deployment::any_rank_says(bool mine) {
  const std::byte answer{static_cast<unsigned char>(mine ? 1 : 0)};
  std::vector<std::byte> all(static_cast<std::size_t>(replica_->size()));
  replica_->all_gather({&answer, 1}, all, equal_counts(*replica_, 1));
  return std::any_of(all.begin(), all.end(), [](std::byte said) { return said != std::byte{0}; });
}

void Deployment::check_same_everywhere(const std::string& job, const std::filesystem::path& prompts,
                                       Group& world) const {
  Digest prompts_digest;
  agree(world, [&] { prompts_digest = digest_of_file(prompts); });
  const std::pair<const char*, std::string> mine[] = {
      {"program (version and numerics contract)", fmt::format("{} {}", kVersion, kContractVersion)},
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
}

Footprint Deployment::footprint() const { return footprint_of(part_, sizes_.shape, *ops_); }

}  // namespace weft
