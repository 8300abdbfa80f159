// Choosing tokens where the logits are: what operators are asked about rows of logits, and the few
// bytes that they answer. docs/internals/numerics.md ("From logits to tokens") says what is chosen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "base/tensor.h"
#include "base/types.h"

namespace weft {

/// The change of one token's logit: bias first, then the penalties.
struct LogitEdit {
  TokenId token = 0;
  float bias = 0;
  std::int32_t occurrences = 0;  ///< in the output: presence and frequency penalty
  bool forbidden = false;        ///< -infinity, whatever else
  bool occurred = false;         ///< in prompt or output: repetition penalty
};

/// What tokens that occurred are penalised by.
struct Penalties {
  float repetition = 1;
  float frequency = 0;
  float presence = 0;
};

/// How a row's token comes about.
enum class RowKind : std::int32_t {
  known,   ///< it is `token`: only log-probabilities are asked for
  greedy,  ///< the largest logit
  few,     ///< drawn from the `top_k` first ones
  listed,  ///< from the `top_k` first ones of a list (0: from all of it), `token` if none may come
  whole,   ///< from all of the row
};

/// What is asked of one row of logits. Plain bytes, for the operators' memory.
struct SamplingRequest {
  std::uint64_t seed = 0;
  std::int64_t position = 0;  ///< of the new token in its sequence
  double top_p = 1;
  double log_min_p = -std::numeric_limits<double>::infinity();  ///< log_d(min_p)
  float scale = 1;                                              ///< inverse temperature
  Penalties penalties;
  RowKind kind = RowKind::greedy;
  std::int32_t row = 0;  ///< among the logits; each at most once
  TokenId token = 0;
  std::int32_t top_k = 0;
  std::uint32_t choice = 0;    ///< part of the random numbers' counter
  std::int32_t first = 0;      ///< 1: of a list the best token is chosen, nothing is drawn
  std::int32_t top = -1;       ///< that many of the likeliest tokens are wanted; -1: no
                               ///< log-probabilities at all
  std::int32_t edits = 0;      ///< where the row's edits begin,
  std::int32_t edits_end = 0;  ///< and end
  std::int32_t list = 0;       ///< where its list of tokens begins,
  std::int32_t list_end = 0;   ///< and ends
  std::int32_t token_slot =
      -1;  ///< where among tokens on the device the row's one stays; -1: nowhere
};

/// Rows, and what they point to.
struct SamplingRequests {
  std::span<const SamplingRequest> rows;
  std::span<const LogitEdit> edits;  ///< a row's name each token at most once
  std::span<const TokenId> lists;
};

/// What a row yields.
struct SamplingResult {
  TokenId token = 0;
  float logprob = 0;     ///< of the token, by the raw logits, where log-probabilities are wanted
  std::int32_t top = 0;  ///< how many likeliest tokens; marked (non_finite.h) by the raw logits
  float largest = 0;     ///< the edited row's largest logit
};

/// A token with its log-probability.
struct ScoredToken {
  TokenId token = 0;
  float logprob = 0;
};

/// How much a row and a call may ask for.
struct SamplerLimits {
  std::int64_t candidates = 0;  ///< of top_k, and tokens of a list
  std::int64_t top = 0;         ///< likeliest tokens
  std::int64_t edits = 0;       ///< of all rows of a call
  std::int64_t listed = 0;      ///< tokens of lists of all rows of a call
  std::int64_t columns = 0;     ///< of a row of logits
};

/// The largest of some columns' logits of a row. Plain bytes, as they travel between ranks.
struct RankCandidate {
  float value = 0;
  TokenId token = 0;  ///< the lowest that has it, marked (non_finite.h), or kNoToken: no columns
};

/// The most likeliest tokens of a row that a sampler gives.
inline constexpr std::int64_t kMostLikeliest = 128;

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

/// Names a query whose answers are on their way.
using SamplingTicket = std::size_t;

/// Chooses tokens where rows of logits lie, without the host: the same tokens and the same
/// log-probabilities, to the bit, as engine/sampler.h finds on the host.
class RowSampler {
 public:
  virtual ~RowSampler() = default;

  [[nodiscard]] virtual SamplerLimits limits() const = 0;

  /// Asks for an answer for each row of the query, of which there is one at least, and for [rows,
  /// top_width] likeliest tokens, top_width at least the largest `top`: what is behind a row's own
  /// number is undefined. logits [R, V] f32 are changed meanwhile and afterwards as they were;
  /// tokens are their columns. `room` has `OpSizes::sampling_bytes` in the operators' memory. The
  /// tokens of rows with a `token_slot` stay in `device_tokens` [K] i32, also in the operators'
  /// memory (undefined: none do). Returns before the answers are there. What the operators are
  /// asked for next may use the same logits, room and tokens on the device.
  virtual SamplingTicket start(const Tensor& logits, const SamplingRequests& query,
                               std::size_t top_width, std::span<std::byte> room,
                               const Tensor& device_tokens) = 0;

  /// The answers to what was started, [rows] and [rows, top_width], as soon as they are there; once
  /// for each ticket, in any order.
  virtual void finish(SamplingTicket ticket, std::span<SamplingResult> results,
                      std::span<ScoredToken> top) = 0;

  /// As `start`, but the answers stay in `room`, until what is asked for next uses it.
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

  /// `start` and `finish`; nothing for no rows.
  void sample(const Tensor& logits, const SamplingRequests& query, std::span<std::byte> room,
              std::span<SamplingResult> results, std::span<ScoredToken> top);
};

}  // namespace weft
