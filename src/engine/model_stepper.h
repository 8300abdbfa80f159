// What both steppers do with a model: forward passes, and logits for the rows that want tokens.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "engine/engine_options.h"
#include "engine/step_record.h"
#include "engine/stepper.h"
#include "model/model.h"

namespace weft {

/// The stepper for a model: asynchronous where the options ask for it and the replica can keep its
/// tokens on the device (one stage, operators that sample), else synchronous. `model` must outlive
/// it.
std::unique_ptr<Stepper> make_stepper(Model& model, const EngineOptions& options);

class ModelStepper : public Stepper {
 public:
  ModelStepper(Model& model, const EngineOptions& options);

  void finish_sends() override;
  [[nodiscard]] double now() const override { return clock_.seconds(); }

 protected:
  using LogitsWork = std::function<void(const Tensor& logits, std::span<const LogitRow> rows)>;

  /// Finds this rank's part of the step and computes it.
  void forward(StepInFlight& step, EngineState& state);
  /// The rows of this rank's samples; with `device_tokens`, new tokens have places, in order.
  static std::vector<LogitRow> rows_of(const StepInFlight& step, EngineState& state,
                                       bool device_tokens);
  /// Calls `work` for the rows' logits, as many at a time as there is room for.
  void with_logits(const StepInFlight& step, std::span<const LogitRow> rows,
                   const LogitsWork& work);
  [[nodiscard]] std::size_t most_logit_rows() const;

  Model& model_;
  SchedulerLimits limits_;
  std::int64_t max_sequence_length_;
  std::optional<Sampler> sampler_;  ///< in the last stage
  StepRecord record_;
  Stopwatch clock_;
};

}  // namespace weft
