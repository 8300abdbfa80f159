// The step loop of one replica: schedule, compute, choose tokens, finish sequences.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>

#include "base/tracer.h"
#include "engine/engine_options.h"
#include "engine/request.h"
#include "engine/stepper.h"
#include "model/model.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

/// Where the time went and how much was done, for the report. Seconds are the tracer's, of whole
/// phases with what is within them: on a GPU its own, not those of launching.
struct EngineStats {
  std::int64_t steps = 0;
  std::int64_t prefill_tokens = 0;    ///< rows of prompts, and of sequences computed again
  std::int64_t decode_tokens = 0;     ///< rows that gave a further token after the first
  std::int64_t slices = 0;            ///< sequences, summed over the steps
  std::int64_t async_steps = 0;       ///< submitted before the tokens of the one before were known
  std::int64_t dropped_rows = 0;      ///< computed for sequences that had ended; in no other figure
  std::int64_t generated_tokens = 0;  ///< also of sequences that go on
  std::int64_t preemptions = 0;
  std::int64_t prefix_tokens_looked_up = 0;   ///< see Scheduler
  std::int64_t prefix_tokens_taken_over = 0;  ///< of these, found
  std::int64_t drafted_tokens = 0;            ///< computed before it was known whether they come
  std::int64_t accepted_tokens = 0;           ///< of these, tokens of their sequences
  double prefill_seconds = 0;                 ///< forward passes of pure prefill steps
  double mixed_seconds = 0;                   ///< of steps with both kinds of rows
  double decode_seconds = 0;                  ///< of pure decode steps
  double logits_seconds = 0;                  ///< output head
  double sampling_seconds = 0;                ///< choosing tokens, digests, bookkeeping
};

/// Runs requests through one model. Every rank of the replica runs its own engine on the same
/// requests in the same order; all of them go through the same steps and get the same tokens.
///
/// Steps are submitted (scheduled, and computed as far as this rank's stage goes) and completed
/// (their tokens are known on every rank) in the same order. How many are in flight, and when a
/// step's tokens are known, is the stepper's. Between two completions every rank submits the same
/// steps.
class Engine {
 public:
  using OnToken = std::function<void(const Sequence& sequence, TokenId token)>;
  using OnCompletion = std::function<void(const Sequence& sequence, Completion completion)>;

  /// `tokenizer` is needed for stop strings only and may be null. Model and tokenizer must outlive
  /// the engine.
  Engine(Model& model, const Tokenizer* tokenizer, EngineOptions options);

  /// An engine whose steps are another stepper's. `vocab`: of the model; `tracer` must outlive it.
  Engine(std::unique_ptr<Stepper> stepper, std::int64_t vocab, Tracer& tracer,
         const Tokenizer* tokenizer, EngineOptions options);

  /// Throws UserError when a request cannot be taken in: its prompt is empty or leaves no
  /// room for one more token, or it names a token outside the vocabulary.
  void check(const Request& request) const;

  /// Takes a request in, after `check`.
  void submit(Request request);

  /// Submits what there is room for, completes the oldest step and reports what came of it; false
  /// when nothing is left to do.
  bool step(const OnToken& on_token, const OnCompletion& on_completion);

  /// Completes what is in flight and submits nothing more: no rank is left with messages on their
  /// way.
  void drain(const OnToken& on_token, const OnCompletion& on_completion);

  /// The model's vocabulary.
  [[nodiscard]] std::int64_t vocab() const { return vocab_; }

  /// Requests taken in and not finished.
  [[nodiscard]] std::int64_t pending() const {
    return static_cast<std::int64_t>(state_.sequences.size());
  }
  /// Of these, waiting to be admitted.
  [[nodiscard]] std::int64_t waiting() const { return state_.scheduler.waiting(); }
  [[nodiscard]] const EngineStats& stats() const { return stats_; }
  [[nodiscard]] double now() const { return stepper_->now(); }

 private:
  /// Drafts at most `most` tokens for a sequence; gives how many.
  std::int64_t draft(Sequence& sequence, std::int64_t most) const;
  bool submit_step();
  void complete_step(const OnToken& on_token, const OnCompletion& on_completion);
  void take_times();
  void finish(const Slice& slice, std::span<const SampledToken> sampled_tokens,
              const OnToken& on_token, const OnCompletion& on_completion);

  std::unique_ptr<Stepper> stepper_;
  std::int64_t vocab_;
  Tracer& tracer_;
  const Tokenizer* tokenizer_;
  EngineOptions options_;
  EngineState state_;
  std::deque<StepInFlight> in_flight_;  ///< oldest first
  std::int64_t next_sequence_ = 0;
  EngineStats stats_;
  PhaseSeconds begun_;  ///< of the tracer, when the engine was made
};

}  // namespace weft
