#include "engine/model_stepper.h"

#include <algorithm>

#include "engine/asynchronous_stepper.h"
#include "engine/synchronous_stepper.h"

namespace weft {
namespace {

/// What a step's forward pass is, by which of its slices are decodes.
Phase phase_of_step(const std::vector<bool>& decodes) {
  if (std::find(decodes.begin(), decodes.end(), false) == decodes.end()) return Phase::decode;
  const bool some = std::find(decodes.begin(), decodes.end(), true) != decodes.end();
  return some ? Phase::mixed : Phase::prefill;
}

}  // namespace

std::unique_ptr<Stepper> make_stepper(Model& model, const EngineOptions& options) {
  if (options.async_scheduling && options.max_draft == 0 && model.device_tokens().possible()) {
    return std::make_unique<AsynchronousStepper>(model, options);
  }
  return std::make_unique<SynchronousStepper>(model, options);
}

ModelStepper::ModelStepper(Model& model, const EngineOptions& options)
    : model_(model),
      limits_(options.limits),
      max_sequence_length_(options.max_sequence_length),
      record_(model.groups(), model.tracer()) {
  if (model.partition().stage.last()) {
    sampler_.emplace(model.vocabulary(), options.eos, options.digest);
  }
}

/// Activations and records are sent from buffers that must outlive the sending.
void ModelStepper::finish_sends() {
  const Tracer::Scope scope(model_.tracer(), Phase::bubble);
  model_.groups().pp().finish_sends();
}

void ModelStepper::forward(StepInFlight& step, EngineState& state) {
  const ReplicaGroups& groups = model_.groups();
  StepPart part =
      part_of_step(step.slices, state.scheduler, limits_.block_tokens, groups.coordinates().sp,
                   groups.layout().sp,
                   [&](std::int64_t id) -> const Sequence& { return state.sequences.at(id); });
  step.samples = std::move(part.samples);
  const Tracer::Scope scope(model_.tracer(), phase_of_step(step.decodes));
  model_.decoder().forward(part.batch);
}

std::vector<LogitRow> ModelStepper::rows_of(const StepInFlight& step, EngineState& state,
                                            bool device_tokens) {
  std::vector<LogitRow> rows;
  std::int32_t slot = 0;
  for (const Sample& sample : step.samples) {
    if (sample.row < 0) continue;
    Sequence& sequence = state.sequence(step.slices[sample.slice]);
    LogitRow& row = rows.emplace_back(LogitRow{&sequence, sample.position});
    if (device_tokens && !row.known()) row.token_slot = sequence.device_token_at = slot++;
  }
  return rows;
}

std::size_t ModelStepper::most_logit_rows() const {
  return static_cast<std::size_t>(model_.shape().step.logit_rows);
}

void ModelStepper::with_logits(const StepInFlight& step, std::span<const LogitRow> rows,
                               const LogitsWork& work) {
  std::vector<std::int32_t> places;
  for (const Sample& sample : step.samples) {
    if (sample.row >= 0) places.push_back(sample.row);
  }
  const std::size_t most = most_logit_rows();
  for (std::size_t first = 0; first < rows.size(); first += most) {
    const std::size_t n = std::min(most, rows.size() - first);
    const Tensor logits = [&] {
      const Tracer::Scope scope(model_.tracer(), Phase::logits);
      return model_.decoder().logits(std::span(places).subspan(first, n));
    }();
    const Tracer::Scope scope(model_.tracer(), Phase::sampling);
    work(logits, rows.subspan(first, n));
  }
}

}  // namespace weft
