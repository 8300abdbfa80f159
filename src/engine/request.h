// What goes into the engine and what comes out of it: token ids, no text and no files.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/shared.h"
#include "base/types.h"
#include "engine/bad_words.h"

namespace weft {

/// What is added to a token's logit.
struct LogitBias {
  TokenId token = 0;
  float bias = 0;
};

/// A list that the completions of a request have in common.
template <class Item>
using SharedList = Shared<std::vector<Item>>;

/// How a token is chosen from logits. Field names and defaults are those of the OpenAI
/// completions API and of vLLM's extensions to it. docs/internals/numerics.md has the order of
/// operations.
struct SamplingParams {
  double temperature = 1;  ///< 0 means greedy
  double top_p = 1;        ///< (0, 1]
  std::int64_t top_k = 0;  ///< 0: no limit
  double min_p = 0;        ///< [0, 1]
  double presence_penalty = 0;
  double frequency_penalty = 0;
  double repetition_penalty = 1;          ///< above 0
  SharedList<LogitBias> logit_bias;       ///< a token at most once
  SharedList<TokenId> allowed_token_ids;  ///< nothing else is chosen; empty: everything is allowed
  SharedList<std::string> bad_words;      ///< texts that never come; see `Request::bad_words`
  /// Always set: the request's own or a hash of job seed and custom_id. In a `Sequence` the key of
  /// its draws, which depends on the prompt, too.
  std::uint64_t seed = 0;
  std::int64_t max_tokens = 16;  ///< 0: the prompt is computed and nothing chosen
  std::int64_t min_tokens = 0;   ///< stops are not looked at before that many tokens
  bool ignore_eos = false;
  SharedList<TokenId> stop_token_ids;
  SharedList<std::string> stop;  ///< stop strings, looked for in the decoded text
  bool include_stop = false;     ///< the stop string that was found stays in the text
  /// Log-probabilities of the tokens and of that many likeliest ones; nothing: none at all.
  std::optional<std::int64_t> logprobs;

  [[nodiscard]] bool greedy() const { return temperature == 0; }
  /// Whether a token's having occurred changes its logit.
  [[nodiscard]] bool penalises() const {
    return presence_penalty != 0 || frequency_penalty != 0 || repetition_penalty != 1;
  }
};

/// One prompt to complete once.
struct Request {
  std::int64_t index = 0;  ///< place in the prompt file: the order of the results
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  /// Which of a line's completions this is; part of the random numbers' counter, below 2^32.
  std::int64_t choice = 0;
  std::shared_ptr<const BadWords> bad_words;  ///< what the completion must not contain; may be null
  bool echo = false;                          ///< the completion repeats the prompt

  /// Whether logits of all the prompt's tokens are needed: its keys and values may then not be
  /// taken from an earlier computation without them.
  [[nodiscard]] bool scores_prompt() const { return echo && sampling.logprobs.has_value(); }
};

/// A token's log-probability, natural, by the raw logits.
struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;
  bool operator==(const TokenLogprob&) const = default;
};

/// Log-probabilities at one position.
struct PositionLogprobs {
  float logprob = 0;              ///< of the token that stands there
  std::vector<TokenLogprob> top;  ///< likeliest first, lower ids first among equals
  bool operator==(const PositionLogprobs&) const = default;
};

enum class FinishReason {
  stop,        ///< an end token, stop id or stop string
  length,      ///< max_tokens, or the longest sequence the engine allows
  non_finite,  ///< NaN or infinite logits: there is no answer
};
std::string_view name(FinishReason reason);

/// A finished request.
struct Completion {
  std::int64_t index = 0;
  std::int64_t choice = 0;
  std::vector<TokenId> tokens;  ///< generated tokens, without the end token that stopped it
  FinishReason reason = FinishReason::length;
  /// Bytes of the decoded text that are kept when a stop string was found; -1 otherwise.
  std::int64_t text_bytes = -1;
  std::int64_t non_finite_at = -1;  ///< with FinishReason::non_finite: the position of the token
  std::vector<PositionLogprobs> logprobs;         ///< of `tokens`, where they were asked for
  std::vector<TokenId> prompt;                    ///< where the request asked for an echo
  std::vector<PositionLogprobs> prompt_logprobs;  ///< of the prompt's tokens but the first
  Digest logits_digest;  ///< meaningful when the engine was asked for digests
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_prompt_tokens = 0;  ///< of these, found in the cache at the first admission
  std::int64_t completion_tokens = 0;     ///< all generated ones, the end token included
  // Seconds since the engine started.
  double queued_at = 0;
  double first_token_at = 0;
  double finished_at = 0;
};

}  // namespace weft
