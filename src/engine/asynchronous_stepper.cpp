#include "engine/asynchronous_stepper.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <utility>

namespace weft {

void AsynchronousStepper::submit(StepInFlight& step, EngineState& state) {
  forward(step, state);
  start_sampling(step, state);
  advance_sequences(step, state, max_sequence_length_);
}

void AsynchronousStepper::start_sampling(StepInFlight& step, EngineState& state) {
  with_logits(step, rows_of(step, state, true), [&](const Tensor& logits, auto rows) {
    std::optional<StartedSampling> started =
        sampler_->start(logits, rows, model_.device_tokens().places());
    if (!started) {
      // What the host has sampled is not among the tokens on the device.
      started.emplace().sampled_tokens = sampler_->sample(logits, rows);
      step.waits = true;
    }
    step.started.push_back(std::move(*started));
  });
  if (limits_.sp > 1 && !step.waits) step.waits = another_host_samples(step, state);
}

/// Whether the host of another sp rank samples some tokens.
bool AsynchronousStepper::another_host_samples(const StepInFlight& step, EngineState& state) {
  const std::size_t most = most_logit_rows();
  for (int owner = 0; owner < limits_.sp; ++owner) {
    if (owner == model_.groups().coordinates().sp) continue;  // `start` would have said so
    std::vector<LogitRow> rows;
    for (const Sample& sample : step.samples) {
      if (sample.owner != owner) continue;
      rows.push_back({&state.sequence(step.slices[sample.slice]), sample.position});
    }
    for (std::size_t first = 0; first < rows.size(); first += most) {
      const std::size_t n = std::min(most, rows.size() - first);
      if (!sampler_->can_start(std::span(rows).subspan(first, n))) return true;
    }
  }
  return false;
}

std::vector<SampledToken> AsynchronousStepper::complete(StepInFlight& step) {
  const Tracer::Scope scope(model_.tracer(), Phase::sampling);
  std::vector<SampledToken> own;
  for (StartedSampling& started : step.started) {
    std::vector<SampledToken> sampled = sampler_->finish(std::move(started));
    std::move(sampled.begin(), sampled.end(), std::back_inserter(own));
  }
  return record_.publish(std::move(own), step.samples);
}

void AsynchronousStepper::settle(const Slice& slice, EngineState& state, const Outcome& outcome) {
  settle_advanced(slice, state, outcome);
}

}  // namespace weft
