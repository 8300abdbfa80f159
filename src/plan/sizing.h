// From a job's wishes and a machine's memory to the sizes that the engine is built with.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/scheduler.h"
#include "layout/legality.h"
#include "model/footprint.h"
#include "model/tensors.h"

namespace weft {

/// What a job says about the engine; see docs/job-file.md.
struct EngineWishes {
  std::int64_t max_batch_tokens = 2048;
  std::int64_t max_sequences = 256;
  std::int64_t max_sequence_length = 0;  ///< 0: the model's
  /// Take a shorter length where the cache cannot hold the longest sequence. Not for jobs: which
  /// requests fit would then depend on the layout.
  bool may_shorten = false;
  std::int64_t page_tokens = 32;
  std::int64_t prefill_chunk = 0;
  std::int64_t layers = 0;        ///< 0: all
  std::optional<Bytes> kv_bytes;  ///< of each rank; nothing: what is left of the memory
};

/// The sizes of one replica's engines; equal on all its ranks.
struct EngineSizes {
  EngineShape shape;
  SchedulerLimits limits;
  std::int64_t max_sequence_length = 0;
};

/// A model as far as sizes go.
struct ModelFacts {
  ModelConfig config;
  SegmentCaps caps;
  DType dtype = DType::bf16;
};

/// What the legality rules need to know of a model.
LayoutLimits layout_limits(const ModelFacts& model);

/// The parts of all `tp` ranks of a replica.
std::vector<Partition> partitions_of(const ModelFacts& model, int tp, std::int64_t layers);

/// Sizes for a replica of tp = parts.size() ranks, each with `memory` bytes for everything. Throws
/// UserError when the weights and activations do not fit, or when the cache cannot hold one
/// sequence of the longest length and the wishes do not allow a shorter one.
EngineSizes size_engine(const EngineWishes& wishes, const std::vector<Partition>& parts,
                        Bytes memory, const Ops& ops);

/// "1.50 GiB", "312 MiB", "4.0 KiB".
std::string human_bytes(Bytes bytes);

}  // namespace weft
