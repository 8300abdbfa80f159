// Tokens chosen where the logits are, for logits that are spread over ranks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "comm/group.h"
#include "ops/op_sizes.h"
#include "ops/rank_merge.h"
#include "ops/sampling_query.h"

namespace weft {

class Ops;

/// What rows yield.
struct RowResults {
  std::vector<SamplingResult> results;  ///< [rows]
  std::vector<ScoredToken> top;         ///< [rows, width]
  std::vector<bool> finite;             ///< [rows]: their raw logits; `choices` have no marks then
  std::size_t width = 0;

  /// The likeliest tokens of a row.
  [[nodiscard]] std::span<const ScoredToken> top_of(std::size_t row) const {
    return std::span(top).subspan(row * width, static_cast<std::size_t>(results[row].top));
  }
};

/// A query whose answers are on their way.
struct StartedRows {
  SamplingTicket ticket = 0;
  std::size_t rows = 0;
  std::size_t width = 0;  ///< of the likeliest tokens
};

/// The operators' sampler for the ranks of a group, each of which has its columns of the same rows;
/// all of them call it with the same query and get the same answers. Of greedy rows the ranks tell
/// each other their candidates. Other rows are dealt out: a rank gets the whole logits of its
/// share and tells the others what they yield. All of it goes from memory of the operators to
/// memory of the operators.
class DeviceSampling {
 public:
  /// For at most `max_rows` rows at a time; `columns_of` has the columns of each rank. `ops`, which
  /// have a sampler, and `group` must outlive it.
  DeviceSampling(std::vector<Range> columns_of, std::int64_t max_rows, Ops& ops, Group& group);

  /// What rank `rank` takes from the operators' memory; 0 where they have no sampler.
  static Bytes bytes(std::span<const Range> columns_of, int rank, std::int64_t max_rows,
                     const OpSizes& ops);

  [[nodiscard]] SamplerLimits limits() const { return sampler_.limits(); }

  /// The answers to a query about `logits` [R, own columns]. Tokens are those of the vocabulary.
  RowResults sample(const Tensor& logits, const SamplingRequests& query);

  /// The same in two parts: `finish` waits for the answers of a query of one row at least. The
  /// tokens of rows with a `token_slot` stay in `device_tokens` on every rank, see
  /// RowSampler::start.
  StartedRows start(const Tensor& logits, const SamplingRequests& query,
                    const Tensor& device_tokens);
  RowResults finish(const StartedRows& started);

 private:
  void sample_candidates(const Tensor& logits, const SamplingRequests& query,
                         std::span<const std::size_t> which, ResultSlots places);
  void deal(const Tensor& logits, const SamplingRequests& query, std::span<const std::size_t> which,
            std::size_t width, ResultSlots places);
  /// Uploads where the answers of rows go.
  void set_places(const SamplingRequests& query, std::span<const std::size_t> which,
                  ResultSlots& places);
  /// Whole rows [share.size(), vocabulary] of this rank's share of the rows `which`.
  Tensor exchange(const Tensor& logits, const SamplingRequests& query,
                  std::span<const std::size_t> which);
  [[nodiscard]] Range share(std::size_t rows, int rank) const;
  [[nodiscard]] std::int64_t vocab() const { return columns_of_.back().end; }
  [[nodiscard]] Range own() const { return columns_of_[static_cast<std::size_t>(group_.rank())]; }

  std::vector<Range> columns_of_;
  std::int64_t max_rows_;
  Ops& ops_;
  Group& group_;
  RowSampler& sampler_;
  Buffer room_;      ///< of the sampler
  Buffer sent_;      ///< own columns of the rows that are dealt out
  Buffer received_;  ///< the ranks' columns of this rank's share
  Buffer joined_;    ///< the same as rows
  Buffer index_;     ///< numbers of rows, i32
  // Of several ranks:
  Buffer candidates_;  ///< own RankCandidate [max_rows]
  Buffer gathered_;    ///< the ranks' candidates or answers
  Buffer results_;     ///< of a whole query
  Buffer places_;      ///< an ResultSlots' `to` and `token_slot`
};

}  // namespace weft
