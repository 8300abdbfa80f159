// Rows of logits as a query for the operators' sampler.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "ops/sampling_query.h"

namespace weft {

/// Rows in three parts: those of the query, those that the sampler cannot take, and those whose
/// token is known and of which nothing more is wanted.
struct SplitRequests {
  OwnedSamplingRequests query;
  std::vector<std::int32_t> rows;  ///< those of the query, in its order
  std::vector<std::int32_t> left;
};

/// What is asked about rows of logits. Left are rows with a `top_k` or a list of allowed tokens
/// above the limits, with more likeliest tokens, and those whose edits or lists find no room any
/// more behind those of the rows before them. `eos`: ends within the vocabulary.
SplitRequests split_requests(std::span<const LogitRow> rows, std::span<const TokenId> eos,
                             std::int64_t vocab, const SamplerLimits& limits);

}  // namespace weft
