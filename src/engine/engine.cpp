#include "engine/engine.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "engine/sampler.h"

namespace weft {

Engine::Engine(Model& model, const Tokenizer* tokenizer, EngineOptions options)
    : model_(model),
      tokenizer_(tokenizer),
      options_(std::move(options)),
      scheduler_(options_.limits) {}

void Engine::submit(Request request) {
  const auto length = static_cast<std::int64_t>(request.prompt.size());
  const std::int64_t vocab = model_.partition().config.vocab;
  if (length == 0) fail_user("the prompt has no tokens");
  if (length >= options_.max_sequence_length) {
    fail_user("the prompt has {} tokens, the longest sequence is {} (engine.max_sequence_length)",
              length, options_.max_sequence_length);
  }
  for (const TokenId token : request.prompt) {
    if (token < 0 || token >= vocab) {
      fail_user("prompt token {} is outside the vocabulary of {}", token, vocab);
    }
  }
  if (!request.sampling.stop.empty() && tokenizer_ == nullptr) {
    fail_user("stop strings need a tokenizer, and the model has none");
  }
  const std::int64_t id = next_sequence_++;
  const std::int64_t longest =
      std::min(options_.max_sequence_length, length + request.sampling.max_tokens);
  scheduler_.add(id, length, longest);
  Sequence& sequence =
      sequences_.emplace(id, Sequence(std::move(request), tokenizer_)).first->second;
  sequence.queued_at = now();
}

bool Engine::step(const OnToken& on_token, const OnCompletion& on_completion) {
  const std::vector<Slice> slices = scheduler_.next();
  if (slices.empty()) return false;
  const Stopwatch forward;
  model_.decoder().forward(batch_of(slices));
  count(slices, forward.seconds());

  std::vector<Slice> sampled;
  std::vector<std::int32_t> rows;
  std::int64_t end = 0;
  for (const Slice& slice : slices) {
    end += slice.count;
    if (!slice.samples) {
      scheduler_.complete(slice, false);
      continue;
    }
    sampled.push_back(slice);
    rows.push_back(static_cast<std::int32_t>(end - 1));
  }
  const std::vector<TokenId> tokens = choose(sampled, rows);
  const Stopwatch bookkeeping;
  for (std::size_t i = 0; i < sampled.size(); ++i) {
    finish(sampled[i], tokens[i], on_token, on_completion);
  }
  stats_.sampling_seconds += bookkeeping.seconds();
  stats_.preemptions = scheduler_.preemptions();
  return true;
}

Batch Engine::batch_of(std::span<const Slice> slices) const {
  Batch batch;
  for (const Slice& slice : slices) {
    const auto pages = static_cast<std::int64_t>(scheduler_.pages_of(slice.sequence).size());
    batch.table_width = std::max(batch.table_width, pages);
  }
  const std::int64_t page_tokens = options_.limits.page_tokens;
  batch.query_begin.push_back(0);
  for (const Slice& slice : slices) {
    const std::vector<PageId>& pages = scheduler_.pages_of(slice.sequence);
    const Sequence& sequence = this->sequence(slice);
    for (std::int64_t position = slice.begin; position < slice.begin + slice.count; ++position) {
      const PageId page = pages[static_cast<std::size_t>(position / page_tokens)];
      batch.tokens.push_back(sequence.tokens[static_cast<std::size_t>(position)]);
      batch.positions.push_back(static_cast<std::int32_t>(position));
      batch.slots.push_back(static_cast<std::int32_t>(page * page_tokens + position % page_tokens));
    }
    batch.query_begin.push_back(static_cast<std::int32_t>(batch.tokens.size()));
    batch.page_table.insert(batch.page_table.end(), pages.begin(), pages.end());
    batch.page_table.resize(batch.page_table.size() + static_cast<std::size_t>(batch.table_width) -
                            pages.size());
  }
  return batch;
}

void Engine::count(std::span<const Slice> slices, double seconds) {
  bool prefill = false;
  for (const Slice& slice : slices) {
    const bool decodes = slice.count == 1 && slice.samples && slice.begin > 0;
    (decodes ? stats_.decode_tokens : stats_.prefill_tokens) += slice.count;
    prefill = prefill || !decodes;
  }
  (prefill ? stats_.prefill_seconds : stats_.decode_seconds) += seconds;
  ++stats_.steps;
}

std::vector<TokenId> Engine::choose(std::span<const Slice> sampled,
                                    std::span<const std::int32_t> rows) {
  std::vector<TokenId> tokens;
  const auto most = static_cast<std::size_t>(model_.shape().step.logit_rows);
  for (std::size_t first = 0; first < sampled.size(); first += most) {
    const std::size_t n = std::min(most, sampled.size() - first);
    const Stopwatch head;
    const Tensor logits = model_.decoder().logits(rows.subspan(first, n));
    stats_.logits_seconds += head.seconds();
    const Stopwatch sampling;
    if (options_.digest) digest(logits, sampled.subspan(first, n));
    const std::vector<TokenId> chosen = pick(logits, sampled.subspan(first, n));
    tokens.insert(tokens.end(), chosen.begin(), chosen.end());
    stats_.sampling_seconds += sampling.seconds();
  }
  return tokens;
}

void Engine::digest(const Tensor& logits, std::span<const Slice> sampled) {
  const std::vector<Digest> digests = model_.vocabulary().block_digests(logits);
  const auto blocks = static_cast<std::size_t>(model_.vocabulary().blocks());
  for (std::size_t row = 0; row < sampled.size(); ++row) {
    for (std::size_t block = 0; block < blocks; ++block) {
      sequence(sampled[row]).logits_digest.add(digests[row * blocks + block].hex());
    }
  }
}

bool Engine::needs_row(const Sequence& sequence) const {
  const SamplingParams& sampling = sequence.request.sampling;
  return !sampling.greedy() || sequence.generated() < sampling.min_tokens;
}

std::vector<TokenId> Engine::pick(const Tensor& logits, std::span<const Slice> sampled) {
  std::vector<TokenId> tokens = model_.vocabulary().argmax(logits);
  std::vector<std::int32_t> rows;
  for (std::size_t row = 0; row < sampled.size(); ++row) {
    if (needs_row(sequence(sampled[row]))) rows.push_back(static_cast<std::int32_t>(row));
  }
  if (rows.empty()) return tokens;
  const std::span<const float> values = model_.vocabulary().gather(logits, rows);
  const auto vocab = static_cast<std::size_t>(model_.vocabulary().vocab());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<std::size_t>(rows[i]);
    tokens[row] = sample(sequence(sampled[row]), values.subspan(i * vocab, vocab));
  }
  return tokens;
}

TokenId Engine::sample(const Sequence& sequence, std::span<const float> logits) const {
  const SamplingParams& sampling = sequence.request.sampling;
  const auto position = static_cast<std::int64_t>(sequence.tokens.size());
  if (sequence.generated() >= sampling.min_tokens) {
    return sample_token(logits, sampling, position, 0);
  }
  // Too early to end: end tokens cannot be chosen.
  std::vector<float> open(logits.begin(), logits.end());
  for (std::size_t token = 0; token < open.size(); ++token) {
    if (sequence.ends_at(static_cast<TokenId>(token), options_.eos)) {
      open[token] = -std::numeric_limits<float>::infinity();
    }
  }
  return sample_token(open, sampling, position, 0);
}

void Engine::finish(const Slice& slice, TokenId token, const OnToken& on_token,
                    const OnCompletion& on_completion) {
  Sequence& sequence = this->sequence(slice);
  if (sequence.generated() == 0) sequence.first_token_at = now();
  const std::optional<FinishReason> reason =
      sequence.append(token, options_.eos, options_.max_sequence_length);
  scheduler_.complete(slice, reason.has_value());
  if (on_token) on_token(sequence, token);
  if (!reason) return;
  if (on_completion) on_completion(sequence, sequence.completion(*reason, options_.eos, now()));
  sequences_.erase(slice.sequence);
}

}  // namespace weft
