#include "engine/sequence.h"

#include <algorithm>

namespace weft {
namespace {

bool contains(std::span<const TokenId> tokens, TokenId token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

}  // namespace

std::string_view name(FinishReason reason) {
  return reason == FinishReason::stop ? "stop" : "length";
}

Sequence::Sequence(Request asked, const Tokenizer* tokenizer)
    : request(std::move(asked)), tokens(request.prompt), stops(request.sampling.stop, tokenizer) {}

bool Sequence::ends_at(TokenId token, std::span<const TokenId> eos) const {
  return (!request.sampling.ignore_eos && contains(eos, token)) ||
         contains(request.sampling.stop_token_ids, token);
}

std::optional<FinishReason> Sequence::append(TokenId token, std::span<const TokenId> eos,
                                             std::int64_t max_length) {
  tokens.push_back(token);
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
  completion.tokens.assign(tokens.begin() + prompt_length(), tokens.end());
  completion.prompt_tokens = prompt_length();
  completion.completion_tokens = generated();
  if (reason == FinishReason::stop && text_bytes < 0 && ends_at(tokens.back(), eos)) {
    completion.tokens.pop_back();
  }
  completion.reason = reason;
  completion.text_bytes = text_bytes;
  completion.logits_digest = logits_digest.result();
  completion.queued_at = queued_at;
  completion.first_token_at = first_token_at;
  completion.finished_at = now;
  return completion;
}

}  // namespace weft
