// What a request asks to be changed in a row of logits before a token is chosen: bias, penalties,
// and tokens that may not come now.
#pragma once

#include <span>
#include <vector>

#include "engine/sequence.h"
#include "ops/row_sampler.h"

namespace weft {

/// The edits for the token that follows a sequence's and `drafted` ones, by ascending token, each
/// token once. Forbidden are ends of the sequence before `min_tokens` and tokens with which a bad
/// word would stand in the text.
std::vector<LogitEdit> logit_edits(const Sequence& sequence, std::span<const TokenId> drafted,
                                   std::span<const TokenId> eos);

/// Whether the edits depend on which tokens were chosen, not only on how many.
bool edits_follow_tokens(const Request& request);

/// The penalties of a request, in f32.
Penalties penalties_of(const SamplingParams& params);

/// The edited logit, in f32.
float edited(float logit, const LogitEdit& edit, const SamplingParams& params);

}  // namespace weft
