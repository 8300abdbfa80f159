#include "engine/synchronous_stepper.h"

#include <iterator>
#include <utility>

namespace weft {

std::size_t SynchronousStepper::depth() const {
  return static_cast<std::size_t>(model_.partition().stage.count);
}

void SynchronousStepper::submit(StepInFlight& step, EngineState& state) {
  forward(step, state);
  if (!sampler_) return;
  std::vector<SampledToken> own;
  with_logits(step, rows_of(step, state, false), [&](const Tensor& logits, auto rows) {
    std::vector<SampledToken> sampled = sampler_->sample(logits, rows);
    std::move(sampled.begin(), sampled.end(), std::back_inserter(own));
  });
  step.sampled_tokens = record_.publish(std::move(own), step.samples);
}

std::vector<SampledToken> SynchronousStepper::complete(StepInFlight& step) {
  if (step.sampled_tokens) return std::move(*step.sampled_tokens);
  return record_.receive(step.samples);
}

void SynchronousStepper::settle(const Slice& slice, EngineState& state, const Outcome& outcome) {
  state.scheduler.complete(slice, outcome.ended, outcome.accepted);
}

}  // namespace weft
