// One replica of a small model in the process' own hands: any layout, any schedule.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/tracer.h"
#include "comm/replica_groups.h"
#include "engine/engine.h"
#include "layout/grid.h"
#include "model/files/model_reader.h"
#include "model/model.h"
#include "ops/isa.h"
#include "ops/ops.h"

namespace weft {

/// How a replica runs: nothing of it may show in the results.
struct ReplicaOptions {
  std::optional<Layout> layout;  ///< nothing: tensor-parallel over all ranks of the group
  int threads = 1;
  Isa isa = Isa::automatic;
  /// Makes the operators; nothing: the CPU's, for `threads` and `isa`.
  std::function<std::unique_ptr<Ops>()> ops;
  Ops* borrowed_ops = nullptr;  ///< compute with these instead; they must outlive the replica
  RegionFactory region = make_region;
  std::optional<SegmentCaps> caps;  ///< in place of the model's: shows, on purpose
  Transport transport = Transport::automatic;
  /// Ranks with the same weights, where the first of them reads for all; null: each for itself.
  Group* peers = nullptr;
  std::int64_t max_batch_tokens = 512;
  std::int64_t max_sequences = 64;
  std::int64_t prefill_chunk = 0;
  std::int64_t logit_rows = 16;    ///< of which tokens are chosen at a time
  std::int64_t sp_threshold = 64;  ///< prompts from that length on are shared by the sp ranks
  std::int64_t block_tokens = 32;
  std::int64_t kv_blocks = 256;
  bool prefix_sharing = true;
  bool digest = true;          ///< of logits, with the completions
  std::int64_t max_draft = 0;  ///< see EngineOptions
  std::function<std::vector<TokenId>(const Sequence&, std::int64_t)> drafter;  ///< likewise
  std::int64_t speculative_rows = 64;    ///< see SchedulerLimits
  bool async_scheduling = true;          ///< see EngineOptions
  const Tokenizer* tokenizer = nullptr;  ///< for stop strings
  std::int64_t max_sequence_length = 1024;
};

/// What a replica's schedulers are told.
SchedulerLimits limits_of(const ReplicaOptions& options, const Layout& layout);

/// Model and operators of one rank of a replica.
class Replica {
 public:
  /// Opens the model for this rank of `group`, which must outlive the replica. Throws UserError for
  /// a layout that the model does not allow.
  Replica(const std::filesystem::path& model, const ReplicaOptions& options, Group& group);

  [[nodiscard]] Model& model() { return *model_; }
  [[nodiscard]] Ops& ops() { return *ops_; }
  [[nodiscard]] const SchedulerLimits& limits() const { return limits_; }

  /// Runs the requests to their ends; the completions in the order of their indices. `stats`
  /// receives the engine's figures.
  std::vector<Completion> complete(const std::vector<Request>& requests,
                                   EngineStats* stats = nullptr);

 private:
  ReplicaOptions options_;
  ModelReader reader_;
  std::unique_ptr<ReplicaGroups> groups_;
  SchedulerLimits limits_;
  std::unique_ptr<Ops> own_ops_;
  Ops* ops_;
  Tracer tracer_;
  std::unique_ptr<Model> model_;
};

}  // namespace weft
