#include "app/deployment.h"

#include <optional>
#include <utility>
#include <vector>

#include "app/end_tokens.h"
#include "app/engine_settings.h"
#include "app/model_text.h"
#include "app/weight_loading.h"
#include "base/cancelled.h"
#include "base/error.h"
#include "comm/session.h"

namespace weft {

Deployment::Deployment(const std::filesystem::path& model, const JobParallel& parallel,
                       const JobEngine& engine, Group& world, JobControl& control, bool may_shorten)
    : control_(control), async_scheduling_(engine.async_scheduling), runtime_(engine, world) {
  const bool cuda = runtime_.device().cuda;
  agree(world, [&] { check_numerics(engine, cuda); });
  agree(world, [&] {
    reader_ = std::make_unique<ModelReader>(model);
    layout_ = layout_of(parallel, facts_of(*reader_), engine.layers.value_or(0), world.size());
    coordinates_ = coordinates_of(layout_, world.rank());
    tokenizer_ = tokenizer_of(*reader_);
    runtime_.make_ops(engine);
  });
  agree(world, [&] { check_gpu_settings(engine, cuda); });
  make_groups(model, engine, world);
  world.barrier();  // what all ranks of a GPU have taken so far counts
  const Bytes memory = least_of_ranks(world, runtime_.memory());
  const ModelFacts facts = facts_of(*reader_);
  agree(world, [&] {
    const std::vector<Partition> parts = partitions_of(facts, layout_, engine.layers.value_or(0));
    EngineConfig engine_config = engine_config_of(engine, memory);
    engine_config.may_shorten = may_shorten;
    sizes_ = size_engine(engine_config, layout_, parts, memory, ops());
    part_ = parts[partition_index(layout_, coordinates_)];
    check_graphs(engine, part_);
  });
}

void Deployment::make_groups(const std::filesystem::path& model, const JobEngine& engine,
                             Group& world) {
  groups_.replica = runtime_.replica_group(engine, layout_, world, control_);
  groups_.axes = std::make_unique<ReplicaGroups>(*groups_.replica, layout_);
  groups_.directives = world.split(coordinates_.dp);
  if (!weft::broadcasts_weights(engine.load, layout_.dp, model, world)) return;
  groups_.peers = world.split(groups_.replica->rank());
  reader_->share_with(groups_.peers.get());
}

void Deployment::load() {
  control_.activity().begin_phase(JobPhase::loading);
  const Tracer::Scope scope(tracer(), Phase::load);
  reader_->stop_when([this] { return control_.stop_asked(); });
  std::optional<Weights> weights;
  // The rest is done together, which no rank may begin whose peers have failed to load.
  if (!agree_unless_cancelled(*groups_.replica,
                              [&] { weights = load_weights(*reader_, part_, ops()); })) {
    throw Cancelled();
  }
  model_ = std::make_unique<Model>(std::move(*weights), part_, sizes_.shape, ops(), *groups_.axes,
                                   tracer());
}

std::unique_ptr<Engine> Deployment::make_engine(bool digest) {
  require(model_ != nullptr, "the model is not loaded");
  EngineOptions options;
  options.limits = sizes_.limits;
  options.max_sequence_length = sizes_.max_sequence_length;
  options.digest = digest;
  options.async_scheduling = async_scheduling_;
  options.max_draft = sizes_.max_draft;
  for (const EndToken& token : end_tokens(reader_->config(), tokenizer_.get())) {
    options.eos.push_back(token.id);
  }
  return std::make_unique<Engine>(*model_, tokenizer_.get(), std::move(options));
}

Bytes Deployment::peak_memory() {
  const Memory* const messages = groups_.axes->tp().message_memory();
  return ops().memory().peak() + (messages == nullptr ? 0 : messages->peak());
}

Footprint Deployment::footprint() const { return footprint_of(part_, sizes_.shape, ops()); }

}  // namespace weft
