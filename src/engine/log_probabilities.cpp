#include "engine/log_probabilities.h"

#include <algorithm>

#include "base/elementary.h"
#include "engine/row_draw.h"
#include "ops/draw_inline.h"

namespace weft {
LogProbabilities::LogProbabilities(Vocabulary& vocabulary, const Tensor& logits,
                                   std::span<const LogprobRow> rows)
    : rows_(rows.begin(), rows.end()) {
  const auto blocks = static_cast<std::size_t>(vocabulary.blocks());
  std::vector<std::int32_t> which;
  std::vector<RowWeightSum> asked;
  for (const LogprobRow& row : rows_) {
    which.push_back(row.row);
    asked.emplace_back().row = row.row;
  }
  const std::vector<float> maxima = vocabulary.maxima(which);
  const std::vector<float> weight_sums = vocabulary.weight_sums(logits, asked);
  const auto maxima_of = [&](std::size_t i) {
    return std::span(maxima).subspan(i * blocks, blocks);
  };
  std::vector<std::vector<std::int32_t>> best(rows_.size());
  std::vector<RowBlock> wanted;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    Normaliser& normaliser = normalisers_.emplace_back();
    normaliser.largest = *std::max_element(maxima_of(i).begin(), maxima_of(i).end());
    double sum = 0;
    for (std::size_t b = 0; b < blocks; ++b) {
      const double weight_sum = weight_sums[i * blocks + b];
      if (weight_sum > 0) sum += weight_sum * exp_d(maxima_of(i)[b] - normaliser.largest);
    }
    normaliser.log_sum = log_d(sum);
    if (rows_[i].top > 0) best[i] = best_blocks(maxima_of(i), rows_[i].top);
    for (const std::int32_t block : best[i]) wanted.push_back({rows_[i].row, block});
  }
  const std::vector<float> values = vocabulary.block_values(logits, wanted);
  std::span<const float> rest(values);
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const std::size_t count = best[i].size() * static_cast<std::size_t>(kVocabBlock);
    std::vector<TokenLogprob>& top = top_.emplace_back();
    for (const Candidate& candidate :
         best_tokens(maxima_of(i), best[i], rest.first(count), rows_[i].top)) {
      top.push_back({candidate.token, logprob(i, candidate.logit)});
    }
    rest = rest.subspan(count);
  }
}

float LogProbabilities::logprob(std::size_t i, float logit) const {
  return hostdevice::logprob(logit, normalisers_[i].largest, normalisers_[i].log_sum);
}

std::vector<PositionLogprobs> LogProbabilities::of(Vocabulary& vocabulary, const Tensor& logits,
                                                   std::span<const TokenId> tokens) const {
  std::vector<RowToken> places;
  for (std::size_t i = 0; i < rows_.size(); ++i) places.push_back({rows_[i].row, tokens[i]});
  const std::vector<float> values = vocabulary.values(logits, places);
  std::vector<PositionLogprobs> all;
  for (std::size_t i = 0; i < rows_.size(); ++i) all.push_back({logprob(i, values[i]), top_[i]});
  return all;
}

}  // namespace weft
