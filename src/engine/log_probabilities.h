// Log-probabilities by the raw logits of rows that are spread over ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/request.h"
#include "model/forward/vocabulary.h"

namespace weft {

/// A row whose log-probabilities are asked for, with that many of the likeliest tokens.
struct LogprobRow {
  std::int32_t row = 0;
  std::int64_t top = 0;
};

/// Takes a row's normaliser and likeliest tokens while the logits are raw, and log-probabilities of
/// tokens afterwards. All ranks of the vocabulary's group call it alike.
class LogProbabilities {
 public:
  /// The vocabulary's `argmax` must have seen these logits last.
  LogProbabilities(Vocabulary& vocabulary, const Tensor& logits, std::span<const LogprobRow> rows);

  /// What stands at the rows' positions, when these tokens do. The logits must be raw.
  std::vector<PositionLogprobs> of(Vocabulary& vocabulary, const Tensor& logits,
                                   std::span<const TokenId> tokens) const;

 private:
  /// log softmax(x) = (x - largest) - log_sum
  struct Normaliser {
    double largest = 0;
    double log_sum = 0;
  };
  [[nodiscard]] float logprob(std::size_t i, float logit) const;

  std::vector<LogprobRow> rows_;
  std::vector<Normaliser> normalisers_;
  std::vector<std::vector<TokenLogprob>> top_;
};

}  // namespace weft
