// What a request asks to be changed in a row of logits before a token is chosen: bias, penalties,
// and tokens that may not come now.
#pragma once

#include <span>
#include <vector>

#include "engine/sequence.h"

namespace weft {

/// The change of one token's logit: bias first, then the penalties.
struct LogitEdit {
  TokenId token = 0;
  bool forbidden = false;  ///< -infinity, whatever else
  float bias = 0;
  bool occurred = false;         ///< in prompt or output: repetition penalty
  std::int64_t occurrences = 0;  ///< in the output: presence and frequency penalty
};

/// The edits for a sequence's next token, by ascending token, each token once. Forbidden are ends
/// of the sequence before `min_tokens` and the last tokens of bad words whose other tokens are the
/// output's last ones.
std::vector<LogitEdit> logit_edits(const Sequence& sequence, std::span<const TokenId> eos);

/// The edited logit, in f32.
float edited(float logit, const LogitEdit& edit, const SamplingParams& params);

}  // namespace weft
