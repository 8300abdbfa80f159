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
      ahead_(options_.run_ahead && model.kept_tokens().possible()),
      record_(model.groups(), model.tracer()),
      begun_(model.tracer().outermost_seconds()) {
  if (model.partition().stage.last()) {
    chooser_.emplace(model.vocabulary(), options_.eos, options_.digest);
  }
}

void Engine::check(const Request& request) const {
  const auto length = static_cast<std::int64_t>(request.prompt.size());
  const std::int64_t vocab = model_.partition().config.vocab;
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
  for (const std::vector<TokenId>& word : request.bad_words) within("token of a bad word", word);
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
    prefix = prefix_hashes(request.prompt, options_.limits.page_tokens);
  }
  scheduler_.add(id, length, longest, std::move(prefix));
  Sequence& sequence =
      sequences_.emplace(id, Sequence(std::move(request), tokenizer_)).first->second;
  sequence.queued_at = now();
}

bool Engine::step(const OnToken& on_token, const OnCompletion& on_completion) {
  const std::size_t room = ahead_ ? 2 : static_cast<std::size_t>(model_.partition().stage.count);
  const auto may_launch = [&] {
    return flights_.size() < room && (flights_.empty() || !flights_.back().waits);
  };
  while (may_launch() && launch()) {
  }
  if (flights_.empty()) {
    finish_sends();
    return false;
  }
  land(on_token, on_completion);
  take_times();
  return true;
}

void Engine::drain(const OnToken& on_token, const OnCompletion& on_completion) {
  while (!flights_.empty()) land(on_token, on_completion);
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

bool Engine::launch() {
  Flight flight;
  flight.slices = scheduler_.next();
  if (flight.slices.empty()) return false;
  const ReplicaGroups& groups = model_.groups();
  StepPart part = part_of_step(
      flight.slices, scheduler_, options_.limits.page_tokens, groups.place().sp, groups.layout().sp,
      [&](std::int64_t id) -> const Sequence& { return sequences_.at(id); });
  flight.samples = std::move(part.samples);
  for (const Slice& slice : flight.slices) flight.decodes.push_back(decodes(slice));
  const bool prefill =
      std::find(flight.decodes.begin(), flight.decodes.end(), false) != flight.decodes.end();
  {
    const Tracer::Scope scope(model_.tracer(), prefill ? Phase::prefill : Phase::decode);
    model_.decoder().forward(part.batch);
  }
  if (ahead_) {
    if (!flights_.empty()) ++stats_.ahead_steps;
    start_choosing(flight);
  } else if (chooser_) {
    flight.choices = record_.publish(choose(flight), flight.samples);
  }
  go_on(flight);
  flights_.push_back(std::move(flight));
  return true;
}

/// Notes what is known of the sequences of a step that was just launched.
void Engine::go_on(Flight& flight) {
  for (const Slice& slice : flight.slices) {
    Sequence& sequence = this->sequence(slice);
    sequence.decoding = slice.samples;
    if (slice.starts) {
      sequence.cached_prompt_tokens = scheduler_.prefix_tokens_taken_over(slice.sequence);
    }
    if (!ahead_) continue;
    const bool generates = slice.samples && !sequence.only_prompt();
    if (generates) ++sequence.unseen;
    sequence.leaves = slice.samples && (sequence.generated() + sequence.unseen >=
                                            sequence.request.sampling.max_tokens ||
                                        sequence.length() >= options_.max_sequence_length);
    if (generates && !sequence.leaves && edits_follow_tokens(sequence.request)) flight.waits = true;
    scheduler_.complete(slice, sequence.leaves);
  }
  if (!ahead_) return;
  // Of a shared prompt, the last row may be computed elsewhere than the decodes to come.
  for (const Sample& sample : flight.samples) {
    const Slice& slice = flight.slices[sample.slice];
    const Sequence& sequence = this->sequence(slice);
    const bool goes_on = slice.samples && !sequence.only_prompt() && !sequence.leaves;
    if (sample.owner != slice.home && goes_on) flight.waits = true;
  }
}

void Engine::land(const OnToken& on_token, const OnCompletion& on_completion) {
  Flight flight = std::move(flights_.front());
  flights_.pop_front();
  if (!flight.choices && !ahead_) flight.choices = record_.receive(flight.samples);
  const Tracer::Scope scope(model_.tracer(), Phase::sampling);
  if (!flight.choices) flight.choices = record_.publish(finish_choosing(flight), flight.samples);
  const std::vector<Choice> choices = std::move(*flight.choices);
  ++stats_.steps;
  std::size_t next = 0;
  for (std::size_t i = 0; i < flight.slices.size(); ++i) {
    const std::size_t first = next;
    while (next < flight.samples.size() && flight.samples[next].slice == i) ++next;
    // Without its sequence, which ended in the step before, a slice counts for nothing.
    if (ahead_ && !sequences_.contains(flight.slices[i].sequence)) {
      stats_.dropped_rows += flight.slices[i].count;
      continue;
    }
    count(flight.slices[i], flight.decodes[i]);
    finish(flight.slices[i], std::span(choices).subspan(first, next - first), on_token,
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

/// The rows of this rank's samples; with `kept`, new tokens have places, in order.
std::vector<LogitRow> Engine::rows_of(const Flight& flight, bool kept) {
  std::vector<LogitRow> rows;
  std::int32_t place = 0;
  for (const Sample& sample : flight.samples) {
    if (sample.row < 0) continue;
    Sequence& sequence = this->sequence(flight.slices[sample.slice]);
    LogitRow& row = rows.emplace_back(LogitRow{&sequence, sample.position});
    if (kept && !row.known()) row.keep = sequence.kept_at = place++;
  }
  return rows;
}

/// Calls `work` for the rows' logits, as many at a time as there is room for.
void Engine::with_logits(const Flight& flight, std::span<const LogitRow> rows,
                         const LogitsWork& work) {
  std::vector<std::int32_t> places;
  for (const Sample& sample : flight.samples) {
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

std::vector<Choice> Engine::choose(const Flight& flight) {
  std::vector<Choice> choices;
  with_logits(flight, rows_of(flight, false), [&](const Tensor& logits, auto rows) {
    std::vector<Choice> chosen = chooser_->choose(logits, rows);
    std::move(chosen.begin(), chosen.end(), std::back_inserter(choices));
  });
  return choices;
}

void Engine::start_choosing(Flight& flight) {
  with_logits(flight, rows_of(flight, true), [&](const Tensor& logits, auto rows) {
    std::optional<StartedChoices> started =
        chooser_->start(logits, rows, model_.kept_tokens().places());
    if (!started) {
      // What the host has chosen is not among the kept tokens.
      started.emplace().choices = chooser_->choose(logits, rows);
      flight.waits = true;
    }
    flight.started.push_back(std::move(*started));
  });
  if (options_.limits.sp > 1 && !flight.waits) flight.waits = host_chooses(flight);
}

/// Whether the host of another sp rank chooses some tokens.
bool Engine::host_chooses(const Flight& flight) {
  const auto most = static_cast<std::size_t>(model_.shape().step.logit_rows);
  for (int owner = 0; owner < options_.limits.sp; ++owner) {
    if (owner == model_.groups().place().sp) continue;  // `start` would have said so
    std::vector<LogitRow> rows;
    for (const Sample& sample : flight.samples) {
      if (sample.owner != owner) continue;
      rows.push_back({&sequence(flight.slices[sample.slice]), sample.position});
    }
    for (std::size_t first = 0; first < rows.size(); first += most) {
      const std::size_t n = std::min(most, rows.size() - first);
      if (!chooser_->can_start(std::span(rows).subspan(first, n))) return true;
    }
  }
  return false;
}

/// Waits for this rank's choices.
std::vector<Choice> Engine::finish_choosing(Flight& flight) {
  std::vector<Choice> choices;
  for (StartedChoices& started : flight.started) {
    std::vector<Choice> chosen = chooser_->finish(std::move(started));
    std::move(chosen.begin(), chosen.end(), std::back_inserter(choices));
  }
  return choices;
}

void Engine::finish(const Slice& slice, std::span<const Choice> choices, const OnToken& on_token,
                    const OnCompletion& on_completion) {
  Sequence& sequence = this->sequence(slice);
  std::optional<FinishReason> reason;
  for (const Choice& choice : choices) {
    const bool generated = slice.samples && !sequence.only_prompt() && &choice == &choices.back();
    if (generated && sequence.generated() == 0) sequence.first_token_at = now();
    if (generated && ahead_) --sequence.unseen;
    reason = sequence.take(choice, generated, options_.eos, options_.max_sequence_length);
    if (generated && on_token) on_token(sequence, choice.token);
  }
  if (slice.samples && sequence.only_prompt()) {
    sequence.first_token_at = now();
    reason = FinishReason::length;
  }
  if (!ahead_) {
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
