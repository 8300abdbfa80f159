#include "engine/sequence.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "model/forward/batch.h"

namespace weft {
namespace {

bool contains(std::span<const TokenId> tokens, TokenId token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

}  // namespace

std::string_view name(FinishReason reason) {
  if (reason == FinishReason::non_finite) return "non_finite";
  return reason == FinishReason::stop ? "stop" : "length";
}

std::uint64_t draw_key(std::uint64_t seed, std::span<const TokenId> prompt) {
  static_assert(std::endian::native == std::endian::little);
  Digester digester;
  digester.add(std::as_bytes(std::span(&seed, 1)));
  digester.add(std::as_bytes(prompt));
  return digester.result().low;
}

Sequence::Sequence(Request asked, const Tokenizer* tokenizer)
    : request(std::move(asked)),
      tokens(request.prompt),
      stops(request.sampling.stop, tokenizer, request.sampling.include_stop) {
  request.sampling.seed = draw_key(request.sampling.seed, request.prompt);
  if (!request.sampling.penalises()) return;
  std::vector<TokenId> sorted = tokens;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  for (const TokenId token : sorted) occurrences.push_back({token, 0});
}

TokenId Sequence::token_at(std::int64_t position) const {
  const auto known = static_cast<std::int64_t>(tokens.size());
  if (position < known) return tokens[static_cast<std::size_t>(position)];
  const auto drafted = static_cast<std::size_t>(position - known);
  if (drafted < drafts.size()) return drafts[drafted];
  require(unseen == 1 && position == known, "the token at {} of {} is not known, nor was it kept",
          position, known);
  return device_token(device_token_at);
}

std::vector<std::int64_t> Sequence::wanted(std::int64_t begin, std::int64_t count) const {
  std::vector<std::int64_t> positions;
  if (request.scores_prompt()) {
    const auto scored = static_cast<std::int64_t>(prompt_logprobs.size());
    const std::int64_t end = std::min(begin + count + 1, prompt_length());
    for (std::int64_t p = std::max(begin, scored) + 1; p < end; ++p) positions.push_back(p);
  }
  const auto drafted = static_cast<std::int64_t>(drafts.size());
  if (begin + count == length() + drafted && !only_prompt()) {
    for (std::int64_t p = length(); p <= length() + drafted; ++p) positions.push_back(p);
  }
  return positions;
}

bool Sequence::ends_at(TokenId token, std::span<const TokenId> eos) const {
  return (!request.sampling.ignore_eos && contains(eos, token)) ||
         contains(request.sampling.stop_token_ids, token);
}

std::optional<FinishReason> Sequence::take(const SampledToken& choice, bool generated,
                                           std::span<const TokenId> eos, std::int64_t max_length) {
  if (choice.row_digest != Digest{}) logits_digest.add(choice.row_digest.hex());
  if (choice.non_finite && non_finite_at < 0) {
    non_finite_at =
        static_cast<std::int64_t>(generated ? tokens.size() : prompt_logprobs.size() + 1);
  }
  if (generated) {
    if (choice.logprobs) logprobs.push_back(*choice.logprobs);
    const std::optional<FinishReason> reason = append(choice.token, eos, max_length);
    return non_finite_at < 0 ? reason : FinishReason::non_finite;
  }
  require(choice.logprobs.has_value(), "a token of the prompt without its log-probability");
  prompt_logprobs.push_back(*choice.logprobs);
  return std::nullopt;
}

std::optional<FinishReason> Sequence::append(TokenId token, std::span<const TokenId> eos,
                                             std::int64_t max_length) {
  tokens.push_back(token);
  if (request.bad_words) request.bad_words->extend(text_tail, token);
  if (request.sampling.penalises()) {
    auto at = std::lower_bound(occurrences.begin(), occurrences.end(), token,
                               [](const Occurrence& a, TokenId b) { return a.token < b; });
    if (at == occurrences.end() || at->token != token) at = occurrences.insert(at, {token, 0});
    ++at->in_output;
  }
  if (ends_at(token, eos)) return FinishReason::stop;
  const std::optional<std::int64_t> cut = stops.add(token);
  if (cut && generated() >= request.sampling.min_tokens) {
    text_bytes = *cut;
    return FinishReason::stop;
  }
  if (generated() >= request.sampling.max_tokens ||
      static_cast<std::int64_t>(tokens.size()) >= max_length) {
    return FinishReason::length;
  }
  return std::nullopt;
}

Completion Sequence::completion(FinishReason reason, std::span<const TokenId> eos,
                                double now) const {
  Completion completion;
  completion.index = request.index;
  completion.choice = request.choice;
  completion.tokens.assign(tokens.begin() + prompt_length(), tokens.end());
  completion.prompt_tokens = prompt_length();
  completion.completion_tokens = generated();
  if (reason == FinishReason::stop && text_bytes < 0 && generated() > 0 &&
      ends_at(tokens.back(), eos)) {
    completion.tokens.pop_back();
  }
  completion.logprobs = logprobs;
  completion.logprobs.resize(std::min(logprobs.size(), completion.tokens.size()));
  if (request.echo) completion.prompt = request.prompt;
  completion.prompt_logprobs = prompt_logprobs;
  completion.reason = reason;
  completion.text_bytes = text_bytes;
  completion.non_finite_at = non_finite_at;
  completion.logits_digest = logits_digest.result();
  completion.cached_prompt_tokens = cached_prompt_tokens;
  completion.queued_at = queued_at;
  completion.first_token_at = first_token_at;
  completion.finished_at = now;
  return completion;
}

}  // namespace weft
