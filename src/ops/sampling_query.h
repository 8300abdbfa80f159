// Queries to a sampler: their preconditions, and parts of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor.h"
#include "base/types.h"
#include "ops/row_sampler.h"

namespace weft {

/// Throws Error unless `RowSampler::choose` may be called with these, and with so many choices and
/// likeliest tokens: rows and tokens exist, no row comes twice, and no limit is passed.
void check_sampling_requests(const Tensor& logits, const SamplingRequests& query,
                             const SamplerLimits& limits, std::size_t results, std::size_t top);

/// A query that owns what it points to.
struct OwnedSamplingRequests {
  std::vector<SamplingRequest> rows;
  std::vector<LogitEdit> edits;
  std::vector<TokenId> lists;

  [[nodiscard]] SamplingRequests view() const { return {rows, edits, lists}; }

  /// Appends a row, whose edits and list are these.
  void add(SamplingRequest request, std::span<const LogitEdit> its_edits,
           std::span<const TokenId> its_list);
};

/// The rows `which` of a query, by their places in it, about `columns` of the logits alone: edits
/// of others are left out, and tokens count from the first.
OwnedSamplingRequests part_of(const SamplingRequests& query, std::span<const std::size_t> which,
                              Range columns);

/// The largest number of likeliest tokens that a row asks for.
std::size_t widest_top(const SamplingRequests& query);

}  // namespace weft
