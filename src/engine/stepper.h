// How an engine's steps are computed, and when their tokens are known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "engine/step_part.h"

namespace weft {

/// The requests that an engine was given and has not finished.
struct EngineState {
  Scheduler scheduler;
  std::unordered_map<std::int64_t, Sequence> sequences;  ///< by scheduler id

  [[nodiscard]] Sequence& sequence(const Slice& slice) { return sequences.at(slice.sequence); }
};

/// A step between submission and completion.
struct StepInFlight {
  std::vector<Slice> slices;
  std::vector<bool> decodes;  ///< the slices
  std::vector<Sample> samples;
  std::optional<std::vector<SampledToken>> sampled_tokens;  ///< where they are known already
  std::vector<StartedSampling> started;  ///< where they are under way, as they were asked for
  bool waits = false;                    ///< nothing is submitted until it is complete
};

/// Computes the steps of one replica. Every rank of the replica makes the same calls. Steps are
/// completed in the order in which they were submitted.
class Stepper {
 public:
  Stepper() = default;
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;
  virtual ~Stepper() = default;

  /// Most steps in flight.
  [[nodiscard]] virtual std::size_t depth() const = 0;
  /// Whether a step is submitted before the tokens of the one before it are known.
  [[nodiscard]] virtual bool asynchronous() const = 0;

  /// Submits the computation of `step.slices`; fills the step's samples, and its tokens as far as
  /// they are known or under way.
  virtual void submit(StepInFlight& step, EngineState& state) = 0;

  /// The tokens of the samples of the oldest step in flight, on every rank.
  virtual std::vector<SampledToken> complete(StepInFlight& step) = 0;

  /// What became of a slice whose sequence has taken its tokens.
  struct Outcome {
    bool generated = false;     ///< a new token was among them
    std::int64_t accepted = 0;  ///< drafted tokens that were the sequence's
    bool ended = false;         ///< the sequence ended
  };
  /// Tells the scheduler of a completed slice, whose sequence is still in the state.
  virtual void settle(const Slice& slice, EngineState& state, const Outcome& outcome) = 0;

  /// Waits for what is being sent to other ranks.
  virtual void finish_sends() = 0;

  /// Seconds since the stepper was made.
  [[nodiscard]] virtual double now() const = 0;
};

// Asynchronous scheduling: a step is submitted before the tokens of the one before it are known.

/// Tells the scheduler that a step which was just submitted is computed, with all its sequences
/// going on except those that reach a limit; `step.waits` where one needs its tokens to go on.
void advance_sequences(StepInFlight& step, EngineState& state, std::int64_t max_sequence_length);
/// `Stepper::settle` after that.
void settle_advanced(const Slice& slice, EngineState& state, const Stepper::Outcome& outcome);

}  // namespace weft
