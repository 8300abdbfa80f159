// Asynchronous scheduling: steps that are submitted before the tokens of the one before are known.
#pragma once

#include <vector>

#include "engine/model_stepper.h"

namespace weft {

/// For a replica of one stage whose operators sample tokens. A second step is submitted while one
/// is in flight, and reads that one's tokens on the device. The scheduler is told when a step is
/// submitted that it was computed, with all its sequences going on except those that reach a
/// limit; one that turns out to have ended has a row in the next step, and what that yields is
/// dropped. A step is completed before the next is submitted when a sequence in it needs, for its
/// next token, the host with the last one, or another sp rank.
class AsynchronousStepper final : public ModelStepper {
 public:
  using ModelStepper::ModelStepper;

  [[nodiscard]] std::size_t depth() const override { return 2; }
  [[nodiscard]] bool asynchronous() const override { return true; }
  void submit(StepInFlight& step, EngineState& state) override;
  std::vector<SampledToken> complete(StepInFlight& step) override;
  void settle(const Slice& slice, EngineState& state, const Outcome& outcome) override;

 private:
  void start_sampling(StepInFlight& step, EngineState& state);
  [[nodiscard]] bool another_host_samples(const StepInFlight& step, EngineState& state);
};

}  // namespace weft
