#include "proof/replica.h"

#include <algorithm>
#include <string>

#include "ops/make_cpu_ops.h"
#include "plan/sizing.h"

namespace weft {
namespace {

std::unique_ptr<Ops> make_own_ops(const ReplicaOptions& options) {
  if (options.borrowed_ops != nullptr) return nullptr;
  return options.ops ? options.ops() : make_cpu_ops(options.threads, options.isa);
}

}  // namespace

SchedulerLimits limits_of(const ReplicaOptions& options, const Layout& layout) {
  SchedulerLimits limits;
  limits.max_batch_tokens = options.max_batch_tokens;
  limits.max_sequences = std::min(options.max_sequences, options.max_batch_tokens);
  limits.prefill_chunk = options.prefill_chunk;
  limits.block_tokens = options.block_tokens;
  limits.kv_blocks = options.kv_blocks;
  limits.sp = layout.sp;
  limits.batches = layout.pp;
  limits.sp_threshold = options.sp_threshold;
  limits.prefix_sharing = options.prefix_sharing;
  if (options.max_draft > 0) limits.speculative_rows = options.speculative_rows;
  return limits;
}

Replica::Replica(const std::filesystem::path& model, const ReplicaOptions& options, Group& group)
    : options_(options),
      reader_(model),
      own_ops_(make_own_ops(options)),
      ops_(options.borrowed_ops != nullptr ? options.borrowed_ops : own_ops_.get()) {
  Layout layout;
  layout.tp = group.size();
  layout = options.layout.value_or(layout);
  groups_ = std::make_unique<ReplicaGroups>(group, layout);

  limits_ = limits_of(options, layout);

  EngineShape shape;
  shape.step.max_rows = options.max_batch_tokens;
  shape.step.max_sequences = options.max_batch_tokens;
  shape.step.table_width = ceil_div(options.max_sequence_length, options.block_tokens);
  shape.step.logit_rows = std::min(options.logit_rows, shape.step.max_sequences);
  shape.block_tokens = options.block_tokens;
  shape.kv_blocks = options.kv_blocks;
  shape.transport = options.transport;
  shape.sp = layout.sp;
  shape.async_scheduling = options.async_scheduling;
  reader_.share_with(options.peers);
  const ModelFacts facts{reader_.config(), options.caps.value_or(reader_.caps()), reader_.dtype()};
  const std::vector<Partition> parts = partitions_of(facts, layout, 0);
  const Partition& part = parts[partition_index(layout, groups_->coordinates())];
  model_ = std::make_unique<Model>(load_weights(reader_, part, *ops_), part, shape, *ops_, *groups_,
                                   tracer_, options.region);
}

std::vector<Completion> Replica::complete(const std::vector<Request>& requests,
                                          EngineStats* stats) {
  EngineOptions options;
  options.limits = limits_;
  options.max_sequence_length = options_.max_sequence_length;
  options.digest = options_.digest;
  options.async_scheduling = options_.async_scheduling;
  options.max_draft = options_.max_draft;
  options.drafter = options_.drafter;
  options.eos = reader_.config().eos;
  Engine engine(*model_, options_.tokenizer, options);
  for (const Request& request : requests) engine.submit(request);
  std::vector<Completion> completions;
  while (engine.step(nullptr, [&](const Sequence&, Completion completion) {
    completions.push_back(std::move(completion));
  })) {
  }
  std::sort(completions.begin(), completions.end(), [](const Completion& a, const Completion& b) {
    return a.index != b.index ? a.index < b.index : a.choice < b.choice;
  });
  if (stats != nullptr) *stats = engine.stats();
  return completions;
}

}  // namespace weft
