#include "engine/engine.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/model_stepper.h"
#include "engine/prefix_hashes.h"

namespace weft {

Engine::Engine(Model& model, const Tokenizer* tokenizer, EngineOptions options)
    : Engine(make_stepper(model, options), model.partition().config.vocab, model.tracer(),
             tokenizer, options) {}

Engine::Engine(std::unique_ptr<Stepper> stepper, std::int64_t vocab, Tracer& tracer,
               const Tokenizer* tokenizer, EngineOptions options)
    : stepper_(std::move(stepper)),
      vocab_(vocab),
      tracer_(tracer),
      tokenizer_(tokenizer),
      options_(std::move(options)),
      state_{Scheduler(options_.limits), {}},
      begun_(tracer.outermost_seconds()) {}

void Engine::check(const Request& request) const {
  const auto length = static_cast<std::int64_t>(request.prompt.size());
  if (length == 0) fail_user("the prompt has no tokens");
  if (length >= options_.max_sequence_length) {
    fail_user("the prompt has {} tokens, the longest sequence is {} (engine.max_sequence_length)",
              length, options_.max_sequence_length);
  }
  const auto within = [vocab = vocab_](std::string_view what, std::span<const TokenId> tokens) {
    for (const TokenId token : tokens) {
      if (token >= 0 && token < vocab) continue;
      fail_user("{} {} is outside the vocabulary of {}", what, token, vocab);
    }
  };
  within("prompt token", request.prompt);
  within("stop token", request.sampling.stop_token_ids);
  within("allowed token", request.sampling.allowed_token_ids);
  for (const LogitBias& bias : request.sampling.logit_bias) {
    within("token with a bias", std::span(&bias.token, 1));
  }
  if (!request.sampling.stop.empty() && tokenizer_ == nullptr) {
    fail_user("stop strings need a tokenizer, and the model has none");
  }
}

void Engine::submit(Request request) {
  check(request);
  const auto length = static_cast<std::int64_t>(request.prompt.size());
  const std::int64_t id = next_sequence_++;
  const std::int64_t longest =
      std::min(options_.max_sequence_length, length + request.sampling.max_tokens);
  std::vector<BlockHash> prefix;
  // Rows that are taken over have no logits to score.
  if (options_.limits.prefix_sharing && !request.scores_prompt()) {
    prefix = prefix_hashes(request.prompt, options_.limits.block_tokens);
  }
  state_.scheduler.add(id, length, longest, std::move(prefix));
  Sequence& sequence =
      state_.sequences.emplace(id, Sequence(std::move(request), tokenizer_)).first->second;
  sequence.queued_at = now();
}

bool Engine::step(const OnToken& on_token, const OnCompletion& on_completion) {
  const auto may_submit = [&] {
    return in_flight_.size() < stepper_->depth() &&
           (in_flight_.empty() || !in_flight_.back().waits);
  };
  while (may_submit() && submit_step()) {
  }
  if (in_flight_.empty()) {
    stepper_->finish_sends();
    return false;
  }
  complete_step(on_token, on_completion);
  take_times();
  return true;
}

void Engine::drain(const OnToken& on_token, const OnCompletion& on_completion) {
  while (!in_flight_.empty()) complete_step(on_token, on_completion);
  stepper_->finish_sends();
  take_times();
}

/// The device has just been waited for, where there is one.
void Engine::take_times() {
  tracer_.catch_up();
  const PhaseSeconds spent = tracer_.outermost_seconds();
  const auto since = [&](Phase phase) {
    const auto i = static_cast<std::size_t>(phase);
    return spent[i] - begun_[i];
  };
  stats_.prefill_seconds = since(Phase::prefill);
  stats_.mixed_seconds = since(Phase::mixed);
  stats_.decode_seconds = since(Phase::decode);
  stats_.logits_seconds = since(Phase::logits);
  stats_.sampling_seconds = since(Phase::sampling);
}

std::int64_t Engine::draft(Sequence& sequence, std::int64_t most) const {
  if (sequence.only_prompt()) return 0;
  // The token that follows the drafted ones may be the last.
  const std::int64_t left = std::min(sequence.request.sampling.max_tokens - sequence.generated(),
                                     options_.max_sequence_length - sequence.length()) -
                            1;
  most = std::min({most, left, options_.max_draft});
  if (most > 0) {
    sequence.drafts = options_.drafter ? options_.drafter(sequence, most)
                                       : sequence.lookup.draft(sequence.tokens, most);
  }
  return static_cast<std::int64_t>(sequence.drafts.size());
}

bool Engine::submit_step() {
  StepInFlight step;
  step.slices = state_.scheduler.next(
      [this](std::int64_t id, std::int64_t most) { return draft(state_.sequences.at(id), most); });
  if (step.slices.empty()) return false;
  for (const Slice& slice : step.slices) {
    Sequence& sequence = state_.sequence(slice);
    step.decodes.push_back(phase_of(slice, sequence) == ComputePhase::decode);
    if (slice.starts) {
      sequence.cached_prompt_tokens = state_.scheduler.prefix_tokens_taken_over(slice.sequence);
    }
  }
  if (stepper_->asynchronous() && !in_flight_.empty()) ++stats_.async_steps;
  stepper_->submit(step, state_);
  for (const Slice& slice : step.slices) state_.sequence(slice).decoding = slice.samples;
  in_flight_.push_back(std::move(step));
  return true;
}

void Engine::complete_step(const OnToken& on_token, const OnCompletion& on_completion) {
  StepInFlight step = std::move(in_flight_.front());
  in_flight_.pop_front();
  const std::vector<SampledToken> sampled_tokens = stepper_->complete(step);
  const Tracer::Scope scope(tracer_, Phase::sampling);
  ++stats_.steps;
  std::size_t next = 0;
  for (std::size_t i = 0; i < step.slices.size(); ++i) {
    const Slice& slice = step.slices[i];
    const std::size_t first = next;
    while (next < step.samples.size() && step.samples[next].slice == i) ++next;
    // Without its sequence, which ended in the step before, a slice counts for nothing.
    if (!state_.sequences.contains(slice.sequence)) {
      stats_.dropped_rows += slice.count;
      continue;
    }
    stats_.drafted_tokens += slice.drafted;
    (step.decodes[i] ? stats_.decode_tokens : stats_.prefill_tokens) += slice.count - slice.drafted;
    ++stats_.slices;
    finish(slice, std::span(sampled_tokens).subspan(first, next - first), on_token, on_completion);
  }
  stats_.preemptions = state_.scheduler.preemptions();
  stats_.prefix_tokens_looked_up = state_.scheduler.prefix_tokens_looked_up();
  stats_.prefix_tokens_taken_over = state_.scheduler.prefix_tokens_taken_over();
}

void Engine::finish(const Slice& slice, std::span<const SampledToken> sampled_tokens,
                    const OnToken& on_token, const OnCompletion& on_completion) {
  Sequence& sequence = state_.sequence(slice);
  const bool generates = slice.samples && !sequence.only_prompt() && !sampled_tokens.empty();
  const std::vector<TokenId> drafts = std::exchange(sequence.drafts, {});
  // The last of them are new tokens: one, and one after each drafted token as long as those before
  // are the sequence's.
  const std::size_t known = sampled_tokens.size() - (generates ? 1 + drafts.size() : 0);
  std::size_t accepted = 0;
  std::optional<FinishReason> reason;
  for (std::size_t i = 0; i < sampled_tokens.size(); ++i) {
    const SampledToken& sampled = sampled_tokens[i];
    const bool generated = generates && i >= known;
    if (generated && sequence.generated() == 0) sequence.first_token_at = now();
    if (generated) ++stats_.generated_tokens;
    reason = sequence.take(sampled, generated, options_.eos, options_.max_sequence_length);
    if (generated && on_token && !sampled.non_finite) on_token(sequence, sampled.token);
    if (!generated) continue;
    if (reason || accepted == drafts.size() || sampled.token != drafts[accepted]) break;
    ++accepted;
  }
  if (!drafts.empty()) {
    sequence.lookup.verified(static_cast<std::int64_t>(drafts.size()),
                             static_cast<std::int64_t>(accepted));
    stats_.accepted_tokens += static_cast<std::int64_t>(accepted);
    stats_.decode_tokens += static_cast<std::int64_t>(accepted);
  }
  if (slice.samples && sequence.only_prompt()) {
    sequence.first_token_at = now();
    reason = sequence.non_finite_at < 0 ? FinishReason::length : FinishReason::non_finite;
  }
  stepper_->settle(slice, state_,
                   {generates, static_cast<std::int64_t>(accepted), reason.has_value()});
  if (!reason) return;
  if (on_completion) {
    on_completion(sequence, sequence.completion(*reason, options_.eos, now()));
  }
  state_.sequences.erase(slice.sequence);
}

}  // namespace weft
