// Steps whose tokens are known before the next step of the same sequences is submitted.
#pragma once

#include <vector>

#include "engine/model_stepper.h"

namespace weft {

/// As many steps are in flight as the replica has pipeline stages. The last stage has a step's
/// tokens when it has computed the step; the others receive them when the step is completed.
class SynchronousStepper final : public ModelStepper {
 public:
  using ModelStepper::ModelStepper;

  [[nodiscard]] std::size_t depth() const override;
  [[nodiscard]] bool asynchronous() const override { return false; }
  void submit(StepInFlight& step, EngineState& state) override;
  std::vector<SampledToken> complete(StepInFlight& step) override;
  void settle(const Slice& slice, EngineState& state, const Outcome& outcome) override;
};

}  // namespace weft
