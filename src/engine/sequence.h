// A request on its way through the engine.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "engine/prompt_lookup.h"
#include "engine/request.h"
#include "engine/sampled_token.h"
#include "engine/stop_strings.h"

namespace weft {

/// A token that occurs in a sequence.
struct Occurrence {
  TokenId token = 0;
  std::int64_t in_output = 0;  ///< how often among the generated tokens
};

/// The key of a sequence's draws: a digest of the request's seed and the prompt's tokens, so that
/// one seed for many prompts does not give all of them the same random numbers. docs/numerics.md
/// has the formula.
std::uint64_t draw_key(std::uint64_t seed, std::span<const TokenId> prompt);

/// One sequence: its tokens so far and what its completion will say.
struct Sequence {
  /// The seed of the request becomes the key of its draws.
  Sequence(Request request, const Tokenizer* tokenizer);

  Request request;
  std::vector<TokenId> tokens;  ///< prompt, then generated
  StopStrings stops;
  Digester logits_digest;
  std::vector<Occurrence> occurrences;     ///< by ascending token, kept where penalties need them
  std::vector<PositionLogprobs> logprobs;  ///< of the generated tokens
  std::vector<PositionLogprobs> prompt_logprobs;  ///< of the prompt's tokens but the first, so far
  bool decoding = false;                          ///< its latest slice gave a token: see phase_of
  std::string text_tail;         ///< end of the generated text, kept where bad words need it
  std::int64_t text_bytes = -1;  ///< of the decoded text, when a stop string cut it
  /// Tokens that were chosen behind those known: the host learns them when their steps land.
  std::int64_t unseen = 0;
  std::vector<TokenId> drafts;       ///< drafted tokens of the step in flight, after those known
  PromptLookup lookup;               ///< makes drafts
  std::int32_t device_token_at = 0;  ///< where the last of the unseen ones is kept
  bool leaves = false;  ///< its last token is being chosen: the scheduler has let it go
  std::int64_t cached_prompt_tokens = 0;  ///< found in the cache at the first admission
  std::int64_t non_finite_at = -1;  ///< position of the first token whose logits are not finite
  double queued_at = 0;
  double first_token_at = 0;

  [[nodiscard]] std::int64_t prompt_length() const {
    return static_cast<std::int64_t>(request.prompt.size());
  }
  [[nodiscard]] std::int64_t generated() const {
    return static_cast<std::int64_t>(tokens.size()) - prompt_length();
  }

  /// Tokens, unseen ones among them.
  [[nodiscard]] std::int64_t length() const {
    return static_cast<std::int64_t>(tokens.size()) + unseen;
  }
  /// The token at a position, known or drafted, or the place where it is kept (`device_token`),
  /// which is remembered for the last one only.
  [[nodiscard]] TokenId token_at(std::int64_t position) const;

  /// Positions of the tokens for which the rows of tokens `begin` … `begin + count - 1` must yield
  /// something (the row of token p yields the one at p + 1), ascending: tokens of a prompt whose
  /// log-probabilities are asked for and not there yet, a new token, and one after each drafted
  /// token.
  [[nodiscard]] std::vector<std::int64_t> wanted(std::int64_t begin, std::int64_t count) const;

  /// Takes what a wanted row yielded, in the order of `wanted`: a generated token, appended as
  /// below, or the log-probabilities of a token of the prompt. With a generated token the sequence
  /// ends as FinishReason::non_finite where any of its logits so far were not finite.
  std::optional<FinishReason> take(const SampledToken& choice, bool generated,
                                   std::span<const TokenId> eos, std::int64_t max_length);

  /// Appends a generated token. Gives the reason when the sequence ends with it: an end token
  /// (one of `eos` unless ignored, or a stop id), a stop string, `max_tokens`, or `max_length`
  /// tokens in all. Ends are looked at in that order.
  std::optional<FinishReason> append(TokenId token, std::span<const TokenId> eos,
                                     std::int64_t max_length);

  /// Whether nothing is generated: the sequence ends when its prompt is computed.
  [[nodiscard]] bool only_prompt() const { return request.sampling.max_tokens == 0; }

  /// Whether `token` would end the sequence.
  [[nodiscard]] bool ends_at(TokenId token, std::span<const TokenId> eos) const;

  /// What the sequence became.
  [[nodiscard]] Completion completion(FinishReason reason, std::span<const TokenId> eos,
                                      double now) const;
};

}  // namespace weft
