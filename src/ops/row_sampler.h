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

class RankMerge;

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

/// The most likeliest tokens of a row that a sampler gives.
inline constexpr std::int64_t kMostLikeliest = 128;

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

  /// Merges what several ranks sampled.
  virtual RankMerge& merge() = 0;

  /// `start` and `finish`; nothing for no rows.
  void sample(const Tensor& logits, const SamplingRequests& query, std::span<std::byte> room,
              std::span<SamplingResult> results, std::span<ScoredToken> top);
};

}  // namespace weft
