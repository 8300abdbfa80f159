// What ranks sampled of rows of logits that are spread over them, merged where it lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/tensor.h"
#include "base/types.h"
#include "ops/row_sampler.h"

namespace weft {

/// The largest of some columns' logits of a row. Plain bytes, as they travel between ranks.
struct RankCandidate {
  float value = 0;
  TokenId token = 0;  ///< the lowest that has it, marked (non_finite.h), or kNoToken: no columns
};

/// Answers in the operators' memory, which the host cannot read.
struct DeviceResults {
  std::span<std::byte> results;  ///< SamplingResult [rows]
  std::span<std::byte> top;      ///< ScoredToken [rows, width]
};

/// Where answers of some rows belong. All of it is the operators' memory.
struct ResultSlots {
  DeviceResults among;   ///< the answers of a whole query
  Tensor to;             ///< [rows] i32: places among them
  Tensor token_slot;     ///< [rows] i32: places among tokens on the device, -1 for none
  Tensor device_tokens;  ///< [K] i32; undefined: no token is kept
};

/// Rows of the embedding table that are asked for by places of tokens on the device. With several
/// ranks, each of which holds some rows, all of them look up every token on the device, and what
/// those yield that do not hold it is not used. All arrays are i32 in the operators' memory.
struct DeviceTokenLookup {
  Tensor
      rows;  ///< [L]: of this rank; several ranks: those that stand for tokens on the device alone
  Tensor order;    ///< [M]: -1 - k for the k-th of those; undefined with one rank
  Tensor holders;  ///< [2, ranks]: where each rank's tokens end, where its rows of all begin
  Range own;       ///< this rank's tokens
};

/// What a sampler of several ranks needs besides its RowSampler: answers stay in the operators'
/// memory, travel from there to other ranks', and come to the host when they are complete.
class RankMerge {
 public:
  virtual ~RankMerge() = default;

  /// As RowSampler::start, but the answers stay in `room`, until what is asked for next uses it.
  virtual DeviceResults place(const Tensor& logits, const SamplingRequests& query,
                              std::size_t top_width, std::span<std::byte> room) = 0;
  /// The rows' largest logits as RankCandidate [rows]; the logits' first column is token `first`.
  virtual void tell_candidates(std::span<const std::byte> results, TokenId first,
                               std::span<std::byte> candidates) = 0;
  /// The best of `ranks` ranks' candidates, RankCandidate [ranks, rows], becomes a row's answer:
  /// the largest value, of the lowest rank among equals.
  virtual void take_best(std::span<const std::byte> candidates, int ranks,
                         const ResultSlots& places) = 0;
  /// Copies answers.
  virtual void take(const DeviceResults& results, const ResultSlots& places) = 0;
  /// Sends choices, and the likeliest tokens behind them, on their way to the host.
  virtual SamplingTicket hand_over(std::span<const std::byte> results) = 0;

  /// Where `lookup.rows` name a place p as -1 - p, they become the row of that token, counted from
  /// the first that this rank holds, or 0 if it does not hold it. Where `lookup.order` is -1 - k,
  /// it becomes the place of the k-th of them among all ranks' rows: at the rank that holds it.
  virtual void resolve_device_tokens(const Tensor& device_tokens,
                                     const DeviceTokenLookup& lookup) = 0;
};

}  // namespace weft
