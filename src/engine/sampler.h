// Chooses a token from the logits of one row.
#pragma once

#include <cstdint>
#include <span>

#include "engine/request.h"

namespace weft {

/// The token of the largest logit, the lowest id among equals; NaN never wins. Token 0 when nothing
/// is above -infinity: the rule of `Ops::block_maxima`.
TokenId greedy_token(std::span<const float> logits);

/// A token drawn from softmax(logits / temperature), restricted in this order to tokens
///   1. whose probability is at least min_p times the largest (min_p > 0),
///   2. that are among the top_k most probable (top_k > 0; equals: lower ids first),
///   3. that belong to the smallest set of most probable tokens with mass >= top_p (top_p < 1).
/// The draw is the inverse of the cumulative distribution at a Philox number keyed by the request's
/// seed and counted by `choice` and the absolute `position` that the new token will have: a pure
/// function of its arguments. `params.temperature` 0 is greedy.
TokenId sample_token(std::span<const float> logits, const SamplingParams& params,
                     std::int64_t position, std::int64_t choice);

}  // namespace weft
