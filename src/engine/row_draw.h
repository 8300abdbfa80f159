// Draws a token from a row of logits of which only the parts that matter are looked at. Pure
// functions of their arguments; docs/internals/numerics.md describes the algorithm.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/request.h"
#include "model/forward/vocabulary.h"

namespace weft {

/// A token with its logit.
struct Candidate {
  float logit = 0;
  TokenId token = 0;
};

/// Larger logits first, lower ids first among equals.
struct Before {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  }
};

/// Of a row's block maxima the `count` largest blocks, the lower ones among equals, ascending. The
/// `count` first tokens in the order of `Before` lie in them.
std::vector<std::int32_t> best_blocks(std::span<const float> maxima, std::int64_t count);

/// The first `count` tokens in the order of `Before`, in that order, of blocks' values
/// [blocks.size(), 256]. Tokens at -infinity and NaN are not among them.
std::vector<Candidate> best_tokens(std::span<const float> maxima,
                                   std::span<const std::int32_t> blocks,
                                   std::span<const float> values, std::int64_t count);

/// The logarithm of `min_p`; -infinity, which limits nothing, for 0.
double log_min_p(double min_p);

/// 1 / temperature in f32, finite.
float inverse_temperature(double temperature);

/// Where the new token will stand.
struct DrawPlace {
  std::int64_t position = 0;  ///< in the sequence
  std::int64_t choice = 0;
};

/// A token drawn from `candidates`, which are in the order of `Before` and not empty, with weights
/// exp((logit - largest) / temperature): those with at least min_p, then the fewest first ones that
/// have top_p of the remaining weight. `greedy` params take the first.
TokenId draw_candidate(std::span<const Candidate> candidates, const SamplingParams& params,
                       DrawPlace place);

/// A draw from a whole row, restricted by min_p and top_p only. It asks for weight sums of blocks,
/// then for the values of one block, again and again until it is done.
class RowDraw {
 public:
  /// `best` is the row's greedy token: what is chosen when nothing has a weight. `row` is named in
  /// what is asked for. `maxima` [blocks] must outlive the draw.
  RowDraw(const SamplingParams& params, DrawPlace place, TokenId best, std::int32_t row,
          std::span<const float> maxima);

  [[nodiscard]] bool done() const { return token_.has_value(); }
  [[nodiscard]] TokenId token() const { return *token_; }

  /// The weight sums that are needed next.
  [[nodiscard]] const RowWeightSum& weight_sum() const { return weight_sum_; }
  /// Takes them, [blocks]; afterwards the draw is done or needs the values of `block`.
  void weigh(std::span<const float> weight_sums);
  [[nodiscard]] RowBlock block() const { return {weight_sum_.row, block_}; }
  /// Takes the values [256]; afterwards the draw is done or needs weight sums.
  void pick(std::span<const float> values);

 private:
  void choose_block();

  double top_p_;
  std::uint64_t seed_;
  DrawPlace place_;
  TokenId best_;
  std::span<const float> maxima_;
  float largest_ = 0;
  std::vector<double> factors_;  ///< weight of each block's largest logit
  RowWeightSum weight_sum_;      ///< the tokens that may be drawn, or whose weight is asked for
  std::vector<double> weights_;  ///< of the blocks: what may be drawn
  double total_ = 0;             ///< of `weights_`
  double wanted_ = 0;            ///< the weight that makes top_p
  std::uint64_t attempt_ = 0;
  std::int32_t block_ = 0;
  RowWeightSum drawable_;               ///< the tokens that `weights_` are of
  std::optional<Candidate> candidate_;  ///< drawn, to be accepted when it is among top_p
  std::optional<TokenId> token_;
};

}  // namespace weft
