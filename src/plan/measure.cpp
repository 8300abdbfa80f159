#include "plan/measure.h"

#include <algorithm>

#include "base/clock.h"

namespace weft {
namespace {

Batch batch_of(const StepCase& step, std::int64_t block_tokens, std::int64_t vocab) {
  Batch batch;
  batch.table_width = ceil_div(step.context + step.rows, block_tokens);
  batch.query_begin.push_back(0);
  for (std::int64_t sequence = 0; sequence < step.sequences; ++sequence) {
    const std::int64_t first_block = sequence * batch.table_width;
    for (std::int64_t i = 0; i < batch.table_width; ++i) {
      batch.block_table.push_back(static_cast<std::int32_t>(first_block + i));
    }
    for (std::int64_t row = 0; row < step.rows; ++row) {
      const std::int64_t position = step.context + row;
      // Any tokens will do; these are spread over the vocabulary.
      batch.tokens.push_back(static_cast<TokenId>((sequence * 7919 + position * 104729) % vocab));
      batch.positions.push_back(static_cast<std::int32_t>(position));
      batch.slots.push_back(static_cast<std::int32_t>(first_block * block_tokens + position));
    }
    batch.query_begin.push_back(static_cast<std::int32_t>(batch.tokens.size()));
    batch.logit_rows.push_back(static_cast<std::int32_t>(batch.tokens.size()) - 1);
  }
  return batch;
}

}  // namespace

std::int64_t blocks_of(const StepCase& step, std::int64_t block_tokens) {
  return step.sequences * ceil_div(step.context + step.rows, block_tokens);
}

std::vector<double> time_steps(const StepCase& step, Model& model, int runs) {
  const Batch batch = batch_of(step, model.shape().block_tokens, model.partition().config.vocab);
  const auto most = static_cast<std::size_t>(model.shape().step.logit_rows);
  std::vector<double> seconds;
  // The first two are not timed: the second is where a GPU's operators record the step.
  for (int run = -2; run < runs; ++run) {
    const Stopwatch watch;
    model.decoder().forward(batch);
    const std::span<const std::int32_t> rows(batch.logit_rows);
    for (std::size_t first = 0; first < rows.size(); first += most) {
      const std::size_t count = std::min(most, rows.size() - first);
      model.vocabulary().argmax(model.decoder().logits(rows.subspan(first, count)));
    }
    if (run >= 0) seconds.push_back(watch.seconds());
  }
  return seconds;
}

}  // namespace weft
