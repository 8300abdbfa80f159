// The step loop of one replica: schedule, compute, choose tokens, finish sequences.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace weft {

struct EngineOptions {
  SchedulerLimits limits;
  std::int64_t max_sequence_length = 0;  ///< prompt and completion together
  bool digest = false;                   ///< compute logits digests
  std::vector<TokenId> eos;              ///< every one of them ends a sequence
};

/// Where the time went and how much was done, for the report.
struct EngineStats {
  std::int64_t steps = 0;
  std::int64_t prefill_tokens = 0;  ///< rows of slices that were longer than one or did not sample
  std::int64_t decode_tokens = 0;
  std::int64_t preemptions = 0;
  double prefill_seconds = 0;   ///< forward passes of steps with prefill rows
  double decode_seconds = 0;    ///< forward passes of pure decode steps
  double logits_seconds = 0;    ///< output head
  double sampling_seconds = 0;  ///< choosing tokens, digests, bookkeeping
};

/// Runs requests through one model. Every rank of the replica runs its own engine on the same
/// requests in the same order; all of them go through the same steps and get the same tokens.
class Engine {
 public:
  using OnToken = std::function<void(const Sequence& sequence, TokenId token)>;
  using OnCompletion = std::function<void(const Sequence& sequence, Completion completion)>;

  /// `tokenizer` is needed for stop strings only and may be null. Model and tokenizer must outlive
  /// the engine.
  Engine(Model& model, const Tokenizer* tokenizer, EngineOptions options);

  /// Takes a request in. Throws UserError when its prompt is empty, has a token outside the
  /// vocabulary, or leaves no room for one more token.
  void submit(Request request);

  /// Computes one step and reports what came of it; false when nothing is left to do.
  bool step(const OnToken& on_token, const OnCompletion& on_completion);

  /// Requests taken in and not finished.
  [[nodiscard]] std::int64_t pending() const {
    return static_cast<std::int64_t>(sequences_.size());
  }
  [[nodiscard]] const EngineStats& stats() const { return stats_; }
  [[nodiscard]] double now() const { return clock_.seconds(); }

 private:
  [[nodiscard]] Batch batch_of(std::span<const Slice> slices) const;
  void count(std::span<const Slice> slices, double seconds);
  std::vector<TokenId> choose(std::span<const Slice> sampled, std::span<const std::int32_t> rows);
  void digest(const Tensor& logits, std::span<const Slice> sampled);
  std::vector<TokenId> pick(const Tensor& logits, std::span<const Slice> sampled);
  TokenId sample(const Sequence& sequence, std::span<const float> logits) const;
  [[nodiscard]] bool needs_row(const Sequence& sequence) const;
  void finish(const Slice& slice, TokenId token, const OnToken& on_token,
              const OnCompletion& on_completion);
  [[nodiscard]] Sequence& sequence(const Slice& slice) { return sequences_.at(slice.sequence); }
  [[nodiscard]] const Sequence& sequence(const Slice& slice) const {
    return sequences_.at(slice.sequence);
  }

  Model& model_;
  const Tokenizer* tokenizer_;
  EngineOptions options_;
  Scheduler scheduler_;
  std::unordered_map<std::int64_t, Sequence> sequences_;  ///< by scheduler id
  std::int64_t next_sequence_ = 0;
  EngineStats stats_;
  Stopwatch clock_;
};

}  // namespace weft
