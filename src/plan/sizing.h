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

/// What a job says about the engine; see docs/reference/job-file.md.
struct EngineConfig {
  std::int64_t max_batch_tokens = 2048;
  std::int64_t max_sequences = 256;
  std::int64_t max_sequence_length = 0;  ///< 0: the model's
  /// Take a shorter length where the cache cannot hold the longest sequence. Not for jobs: which
  /// requests fit would then depend on the layout.
  bool may_shorten = false;
  std::int64_t block_tokens = 32;
  std::int64_t prefill_chunk = 0;
  std::int64_t sp_threshold = 256;  ///< tokens from which the sp ranks share a prompt
  bool prefix_sharing = true;
  bool async_scheduling = true;   ///< where it can be
  std::int64_t max_draft = 0;     ///< tokens that a sequence may draft in a step
  std::int64_t layers = 0;        ///< 0: all
  std::optional<Bytes> kv_bytes;  ///< of each rank; nothing: what is left of the memory
};

/// The sizes of one replica's engines; equal on all its ranks.
struct EngineSizes {
  EngineShape shape;
  SchedulerLimits limits;
  std::int64_t max_sequence_length = 0;
  std::int64_t max_draft = 0;
  bool async_scheduling =
      false;  ///< steps read tokens where they were chosen (model/forward/device_tokens.h)
};

/// A model as far as sizes go.
struct ModelFacts {
  ModelConfig config;
  SegmentCaps caps;
  DType dtype = DType::bf16;
};

/// What the legality rules need to know of a model of which `layers` layers are computed (0: all).
LayoutLimits layout_limits(const ModelFacts& model, std::int64_t layers = 0);

/// The parts of a replica's ranks: of each stage those of one expert group, which is a
/// tensor-parallel group or, with ep > tp, several of them (see ExpertCoordinates). The other ranks
/// of a stage have the same parts. `layers` 0: all. Throws UserError when the model has fewer.
std::vector<Partition> partitions_of(const ModelFacts& model, const Layout& layout,
                                     std::int64_t layers);
/// The part of one place of the layout among them.
std::size_t partition_index(const Layout& layout, const RankCoordinates& coordinates);

/// Sizes for a replica with those parts and `layout`, each rank with `memory` bytes for everything.
/// Throws UserError when the weights and activations do not fit, or when the cache cannot hold one
/// sequence of the longest length and the wishes do not allow a shorter one.
EngineSizes size_engine(const EngineConfig& engine_config, const Layout& layout,
                        const std::vector<Partition>& parts, Bytes memory, const OpSizes& ops);

/// "1.50 GiB", "312 MiB", "4.0 KiB".
std::string human_bytes(Bytes bytes);

}  // namespace weft
