// A request on its way through the engine.
#pragma once

#include <optional>
#include <vector>

#include "base/digest.h"
#include "engine/request.h"
#include "engine/stop_strings.h"

namespace weft {

/// One sequence: its tokens so far and what its completion will say.
struct Sequence {
  Sequence(Request asked, const Tokenizer* tokenizer);

  Request request;
  std::vector<TokenId> tokens;  ///< prompt, then generated
  StopStrings stops;
  Digester logits_digest;
  std::int64_t text_bytes = -1;  ///< of the decoded text, when a stop string cut it
  double queued_at = 0;
  double first_token_at = 0;

  [[nodiscard]] std::int64_t prompt_length() const {
    return static_cast<std::int64_t>(request.prompt.size());
  }
  [[nodiscard]] std::int64_t generated() const {
    return static_cast<std::int64_t>(tokens.size()) - prompt_length();
  }

  /// Appends a generated token. Gives the reason when the sequence ends with it: an end token
  /// (one of `eos` unless ignored, or a stop id), a stop string, `max_tokens`, or `max_length`
  /// tokens in all. Ends are looked at in that order.
  std::optional<FinishReason> append(TokenId token, std::span<const TokenId> eos,
                                     std::int64_t max_length);

  /// Whether `token` would end the sequence.
  [[nodiscard]] bool ends_at(TokenId token, std::span<const TokenId> eos) const;

  /// What the sequence became.
  [[nodiscard]] Completion completion(FinishReason reason, std::span<const TokenId> eos,
                                      double now) const;
};

}  // namespace weft
