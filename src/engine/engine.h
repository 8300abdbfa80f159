// The step loop of one replica: schedule, compute, choose tokens, finish sequences.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "engine/step_part.h"
#include "engine/step_record.h"
#include "model/model.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

struct EngineOptions {
  SchedulerLimits limits;
  std::int64_t max_sequence_length = 0;  ///< prompt and completion together
  bool digest = false;                   ///< compute logits digests
  std::vector<TokenId> eos;              ///< every one of them ends a sequence
  bool async_scheduling = true;  ///< launch a step before the tokens of the one before are known
};

/// Where the time went and how much was done, for the report. Seconds are the tracer's, of whole
/// phases with what is within them: on a GPU its own, not those of launching.
struct EngineStats {
  std::int64_t steps = 0;
  std::int64_t prefill_tokens = 0;  ///< rows of prompts, and of sequences computed again
  std::int64_t decode_tokens = 0;   ///< single rows that gave a further token
  std::int64_t slices = 0;          ///< sequences, summed over the steps
  std::int64_t async_steps = 0;     ///< launched before the tokens of the one before were known
  std::int64_t dropped_rows = 0;    ///< computed for sequences that had ended; in no other figure
  std::int64_t preemptions = 0;
  std::int64_t prefix_tokens_looked_up = 0;   ///< see Scheduler
  std::int64_t prefix_tokens_taken_over = 0;  ///< of these, found
  double prefill_seconds = 0;                 ///< forward passes of steps with prefill rows
  double decode_seconds = 0;                  ///< forward passes of pure decode steps
  double logits_seconds = 0;                  ///< output head
  double sampling_seconds = 0;                ///< choosing tokens, digests, bookkeeping
};

/// Runs requests through one model. Every rank of the replica runs its own engine on the same
/// requests in the same order; all of them go through the same steps and get the same tokens.
///
/// As many steps are in flight as the replica has pipeline stages: they are launched (scheduled,
/// and computed as far as this rank's stage goes) in order and land (their tokens are known on
/// every rank) in the same order. Between two landings every rank launches the same steps.
///
/// Where a replica is one stage and its operators choose tokens (Model::kept_tokens), a further
/// step is launched before the tokens of the one before it are known. It reads them where they were
/// chosen. The scheduler is told at its launch that a step was computed, with all its sequences
/// going on but those that reach a limit; one that turns out to have ended has a row in the step
/// behind, and what that yields is dropped. A step lands before the next is launched when a
/// sequence in it needs, for its next token, the host with the last one, or another sp rank.
class Engine {
 public:
  using OnToken = std::function<void(const Sequence& sequence, TokenId token)>;
  using OnCompletion = std::function<void(const Sequence& sequence, Completion completion)>;

  /// `tokenizer` is needed for stop strings only and may be null. Model and tokenizer must outlive
  /// the engine.
  Engine(Model& model, const Tokenizer* tokenizer, EngineOptions options);

  /// Throws UserError when a request cannot be taken in: its prompt is empty or leaves no
  /// room for one more token, or it names a token outside the vocabulary.
  void check(const Request& request) const;

  /// Takes a request in, after `check`.
  void submit(Request request);

  /// Launches what there is room for, lands the oldest step and reports what came of it; false when
  /// nothing is left to do.
  bool step(const OnToken& on_token, const OnCompletion& on_completion);

  /// Lands what is in flight and launches nothing more: no rank is left with messages on their way.
  void drain(const OnToken& on_token, const OnCompletion& on_completion);

  /// The model's vocabulary.
  [[nodiscard]] std::int64_t vocab() const { return model_.partition().config.vocab; }

  /// Requests taken in and not finished.
  [[nodiscard]] std::int64_t pending() const {
    return static_cast<std::int64_t>(sequences_.size());
  }
  /// Of these, waiting to be admitted.
  [[nodiscard]] std::int64_t waiting() const { return scheduler_.waiting(); }
  [[nodiscard]] const EngineStats& stats() const { return stats_; }
  [[nodiscard]] double now() const { return clock_.seconds(); }

 private:
  /// A step between launch and landing.
  struct StepInFlight {
    std::vector<Slice> slices;
    std::vector<bool> decodes;  ///< the slices
    std::vector<Sample> samples;
    std::optional<std::vector<SampledToken>> sampled_tokens;  ///< where they are known already
    std::vector<StartedSampling> started;  ///< where they are under way, as they were asked for
    bool waits = false;                    ///< nothing is launched until it has landed
  };
  using LogitsWork = std::function<void(const Tensor& logits, std::span<const LogitRow> rows)>;

  bool submit_step();
  void complete_step(const OnToken& on_token, const OnCompletion& on_completion);
  void finish_sends();
  void count(const Slice& slice, bool decodes);
  void take_times();
  [[nodiscard]] bool decodes(const Slice& slice) const;
  [[nodiscard]] std::vector<LogitRow> rows_of(const StepInFlight& step, bool device_tokens);
  void with_logits(const StepInFlight& step, std::span<const LogitRow> rows,
                   const LogitsWork& work);
  std::vector<SampledToken> sample(const StepInFlight& step);
  void start_sampling(StepInFlight& step);
  void go_on(StepInFlight& step);
  [[nodiscard]] bool host_samples(const StepInFlight& step);
  std::vector<SampledToken> finish_sampling(StepInFlight& step);
  void finish(const Slice& slice, std::span<const SampledToken> sampled_tokens,
              const OnToken& on_token, const OnCompletion& on_completion);
  [[nodiscard]] Sequence& sequence(const Slice& slice) { return sequences_.at(slice.sequence); }
  [[nodiscard]] const Sequence& sequence(const Slice& slice) const {
    return sequences_.at(slice.sequence);
  }

  Model& model_;
  const Tokenizer* tokenizer_;
  EngineOptions options_;
  Scheduler scheduler_;
  std::optional<Sampler> sampler_;  ///< in the last stage
  bool asynchronous_;               ///< steps are launched before the one before has landed
  StepRecord record_;
  std::deque<StepInFlight> in_flight_;                    ///< oldest first
  std::unordered_map<std::int64_t, Sequence> sequences_;  ///< by scheduler id
  std::int64_t next_sequence_ = 0;
  EngineStats stats_;
  PhaseSeconds begun_;  ///< of the tracer, when the engine was made
  Stopwatch clock_;
};

}  // namespace weft
