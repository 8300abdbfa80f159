#include "app/engine_settings.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/machine.h"
#include "model/forward/ffn.h"

namespace weft {

EngineConfig engine_config_of(const JobEngine& engine, Bytes memory) {
  EngineConfig engine_config;
  engine_config.max_batch_tokens = engine.max_batch_tokens;
  engine_config.max_sequences = engine.max_sequences;
  engine_config.max_sequence_length = engine.max_sequence_length;
  engine_config.block_tokens = engine.kv_block;
  engine_config.prefill_chunk = engine.prefill_chunk;
  engine_config.sp_threshold = engine.sp_threshold;
  engine_config.prefix_sharing = engine.prefix_sharing;
  engine_config.max_draft = engine.speculation == Speculation::none ? 0 : engine.max_draft;
  engine_config.async_scheduling = engine.async_scheduling && engine_config.max_draft == 0;
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

}  // namespace weft
