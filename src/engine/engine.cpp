#include "engine/engine.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "engine/logit_edits.h"
#include "engine/prefix_hashes.h"

namespace weft {
Engine::Engine(Model& model, const Tokenizer* tokenizer, EngineOptions options)
    : model_(model),
      tokenizer_(tokenizer),
      options_(std::move(options)),
      scheduler_(options_.limits),
      asynchronous_(options_.async_scheduling && model.device_tokens().possible()),
      record_(model.groups(), model.tracer()),
      begun_(model.tracer().outermost_seconds()) {
  if (model.partition().stage.last()) {
    sampler_.emplace(model.vocabulary(), options_.eos, options_.digest);
  }
}

void Engine::check(const Request& request) const {
  const auto length = static_cast<std::int64_t>(request.prompt.size());
  const std::int64_t vocab = this->vocab();
  if (length == 0) fail_user("the prompt has no tokens");
  if (length >= options_.max_sequence_length) {
    fail_user("the prompt has {} tokens, the longest sequence is {} (engine.max_sequence_length)",
              length, options_.max_sequence_length);
  }
  const auto within = [vocab](std::string_view what, std::span<const TokenId> tokens) {
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
  scheduler_.add(id, length, longest, std::move(prefix));
  Sequence& sequence =
      sequences_.emplace(id, Sequence(std::move(request), tokenizer_)).first->second;
  sequence.queued_at = now();
}

bool Engine::step(const OnToken& on_token, const OnCompletion& on_completion) {
  const std::size_t room =
      asynchronous_ ? 2 : static_cast<std::size_t>(model_.partition().stage.count);
  const auto may_submit = [&] {
    return in_flight_.size() < room && (in_flight_.empty() || !in_flight_.back().waits);
  };
  while (may_submit() && submit_step()) {
  }
  if (in_flight_.empty()) {
    finish_sends();
    return false;
  }
  complete_step(on_token, on_completion);
  take_times();
  return true;
}

void Engine::drain(const OnToken& on_token, const OnCompletion& on_completion) {
  while (!in_flight_.empty()) complete_step(on_token, on_completion);
  finish_sends();
  take_times();
}

/// The device has just been waited for, where there is one.
void Engine::take_times() {
  model_.tracer().catch_up();
  const PhaseSeconds spent = model_.tracer().outermost_seconds();
  const auto since = [&](Phase phase) {
    const auto i = static_cast<std::size_t>(phase);
    return spent[i] - begun_[i];
  };
  stats_.prefill_seconds = since(Phase::prefill);
  stats_.decode_seconds = since(Phase::decode);
  stats_.logits_seconds = since(Phase::logits);
  stats_.sampling_seconds = since(Phase::sampling);
}

/// Activations and records are sent from buffers that must outlive the sending.
void Engine::finish_sends() {
  const Tracer::Scope scope(model_.tracer(), Phase::bubble);
  model_.groups().pp().finish_sends();
}

bool Engine::submit_step() {
  StepInFlight step;
  step.slices = scheduler_.next();
  if (step.slices.empty()) return false;
  const ReplicaGroups& groups = model_.groups();
  StepPart part = part_of_step(
      step.slices, scheduler_, options_.limits.block_tokens, groups.coordinates().sp,
      groups.layout().sp, [&](std::int64_t id) -> const Sequence& { return sequences_.at(id); });
  step.samples = std::move(part.samples);
  for (const Slice& slice : step.slices) step.decodes.push_back(decodes(slice));
  const bool prefill =
      std::find(step.decodes.begin(), step.decodes.end(), false) != step.decodes.end();
  {
    const Tracer::Scope scope(model_.tracer(), prefill ? Phase::prefill : Phase::decode);
    model_.decoder().forward(part.batch);
  }
  if (asynchronous_) {
    if (!in_flight_.empty()) ++stats_.async_steps;
    start_sampling(step);
  } else if (sampler_) {
    step.sampled_tokens = record_.publish(sample(step), step.samples);
  }
  go_on(step);
  in_flight_.push_back(std::move(step));
  return true;
}

/// Notes what is known of the sequences of a step that was just launched.
void Engine::go_on(StepInFlight& step) {
  for (const Slice& slice : step.slices) {
    Sequence& sequence = this->sequence(slice);
    sequence.decoding = slice.samples;
    if (slice.starts) {
      sequence.cached_prompt_tokens = scheduler_.prefix_tokens_taken_over(slice.sequence);
    }
    if (!asynchronous_) continue;
    const bool generates = slice.samples && !sequence.only_prompt();
    if (generates) ++sequence.unseen;
    sequence.leaves = slice.samples && (sequence.generated() + sequence.unseen >=
                                            sequence.request.sampling.max_tokens ||
                                        sequence.length() >= options_.max_sequence_length);
    if (generates && !sequence.leaves && edits_follow_tokens(sequence.request)) step.waits = true;
    scheduler_.complete(slice, sequence.leaves);
  }
  if (!asynchronous_) return;
  // Of a shared prompt, the last row may be computed elsewhere than the decodes to come.
  for (const Sample& sample : step.samples) {
    const Slice& slice = step.slices[sample.slice];
    const Sequence& sequence = this->sequence(slice);
    const bool goes_on = slice.samples && !sequence.only_prompt() && !sequence.leaves;
    if (sample.owner != slice.home && goes_on) step.waits = true;
  }
}

void Engine::complete_step(const OnToken& on_token, const OnCompletion& on_completion) {
  StepInFlight step = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (!step.sampled_tokens && !asynchronous_) step.sampled_tokens = record_.receive(step.samples);
  const Tracer::Scope scope(model_.tracer(), Phase::sampling);
  if (!step.sampled_tokens)
    step.sampled_tokens = record_.publish(finish_sampling(step), step.samples);
  const std::vector<SampledToken> sampled_tokens = std::move(*step.sampled_tokens);
  ++stats_.steps;
  std::size_t next = 0;
  for (std::size_t i = 0; i < step.slices.size(); ++i) {
    const std::size_t first = next;
    while (next < step.samples.size() && step.samples[next].slice == i) ++next;
    // Without its sequence, which ended in the step before, a slice counts for nothing.
    if (asynchronous_ && !sequences_.contains(step.slices[i].sequence)) {
      stats_.dropped_rows += step.slices[i].count;
      continue;
    }
    count(step.slices[i], step.decodes[i]);
    finish(step.slices[i], std::span(sampled_tokens).subspan(first, next - first), on_token,
           on_completion);
  }
  stats_.preemptions = scheduler_.preemptions();
  stats_.prefix_tokens_looked_up = scheduler_.prefix_tokens_looked_up();
  stats_.prefix_tokens_taken_over = scheduler_.prefix_tokens_taken_over();
}

bool Engine::decodes(const Slice& slice) const {
  return phase_of(slice, sequence(slice)) == ComputePhase::decode;
}

void Engine::count(const Slice& slice, bool decodes) {
  (decodes ? stats_.decode_tokens : stats_.prefill_tokens) += slice.count;
  ++stats_.slices;
}

/// The rows of this rank's samples; with `device_tokens`, new tokens have places, in order.
std::vector<LogitRow> Engine::rows_of(const StepInFlight& step, bool device_tokens) {
  std::vector<LogitRow> rows;
  std::int32_t slot = 0;
  for (const Sample& sample : step.samples) {
    if (sample.row < 0) continue;
    Sequence& sequence = this->sequence(step.slices[sample.slice]);
    LogitRow& row = rows.emplace_back(LogitRow{&sequence, sample.position});
    if (device_tokens && !row.known()) row.token_slot = sequence.device_token_at = slot++;
  }
  return rows;
}

/// Calls `work` for the rows' logits, as many at a time as there is room for.
void Engine::with_logits(const StepInFlight& step, std::span<const LogitRow> rows,
                         const LogitsWork& work) {
  std::vector<std::int32_t> places;
  for (const Sample& sample : step.samples) {
    if (sample.row >= 0) places.push_back(sample.row);
  }
  const auto most = static_cast<std::size_t>(model_.shape().step.logit_rows);
  for (std::size_t first = 0; first < rows.size(); first += most) {
    const std::size_t n = std::min(most, rows.size() - first);
    const Tensor logits = [&] {
      const Tracer::Scope scope(model_.tracer(), Phase::logits);
      return model_.decoder().logits(std::span(places).subspan(first, n));
    }();
    const Tracer::Scope scope(model_.tracer(), Phase::sampling);
    work(logits, rows.subspan(first, n));
  }
}

std::vector<SampledToken> Engine::sample(const StepInFlight& step) {
  std::vector<SampledToken> sampled_tokens;
  with_logits(step, rows_of(step, false), [&](const Tensor& logits, auto rows) {
    std::vector<SampledToken> chosen = sampler_->sample(logits, rows);
    std::move(chosen.begin(), chosen.end(), std::back_inserter(sampled_tokens));
  });
  return sampled_tokens;
}

void Engine::start_sampling(StepInFlight& step) {
  with_logits(step, rows_of(step, true), [&](const Tensor& logits, auto rows) {
    std::optional<StartedSampling> started =
        sampler_->start(logits, rows, model_.device_tokens().places());
    if (!started) {
      // What the host has chosen is not among the tokens on the device.
      started.emplace().sampled_tokens = sampler_->sample(logits, rows);
      step.waits = true;
    }
    step.started.push_back(std::move(*started));
  });
  if (options_.limits.sp > 1 && !step.waits) step.waits = host_samples(step);
}

/// Whether the host of another sp rank chooses some tokens.
bool Engine::host_samples(const StepInFlight& step) {
  const auto most = static_cast<std::size_t>(model_.shape().step.logit_rows);
  for (int owner = 0; owner < options_.limits.sp; ++owner) {
    if (owner == model_.groups().coordinates().sp) continue;  // `start` would have said so
    std::vector<LogitRow> rows;
    for (const Sample& sample : step.samples) {
      if (sample.owner != owner) continue;
      rows.push_back({&sequence(step.slices[sample.slice]), sample.position});
    }
    for (std::size_t first = 0; first < rows.size(); first += most) {
      const std::size_t n = std::min(most, rows.size() - first);
      if (!sampler_->can_start(std::span(rows).subspan(first, n))) return true;
    }
  }
  return false;
}

/// Waits for this rank's choices.
std::vector<SampledToken> Engine::finish_sampling(StepInFlight& step) {
  std::vector<SampledToken> sampled_tokens;
  for (StartedSampling& started : step.started) {
    std::vector<SampledToken> chosen = sampler_->finish(std::move(started));
    std::move(chosen.begin(), chosen.end(), std::back_inserter(sampled_tokens));
  }
  return sampled_tokens;
}

void Engine::finish(const Slice& slice, std::span<const SampledToken> sampled_tokens,
                    const OnToken& on_token, const OnCompletion& on_completion) {
  Sequence& sequence = this->sequence(slice);
  std::optional<FinishReason> reason;
  for (const SampledToken& choice : sampled_tokens) {
    const bool generated =
        slice.samples && !sequence.only_prompt() && &choice == &sampled_tokens.back();
    if (generated && sequence.generated() == 0) sequence.first_token_at = now();
    if (generated && asynchronous_) --sequence.unseen;
    reason = sequence.take(choice, generated, options_.eos, options_.max_sequence_length);
    if (generated && on_token && !choice.non_finite) on_token(sequence, choice.token);
  }
  if (slice.samples && sequence.only_prompt()) {
    sequence.first_token_at = now();
    reason = sequence.non_finite_at < 0 ? FinishReason::length : FinishReason::non_finite;
  }
  if (!asynchronous_) {
    scheduler_.complete(slice, reason.has_value());
  } else if (reason && !sequence.leaves) {
    scheduler_.end(slice.sequence);
  }
  if (!reason) return;
  if (on_completion) {
    on_completion(sequence, sequence.completion(*reason, options_.eos, now()));
  }
  sequences_.erase(slice.sequence);
}

}  // namespace weft
