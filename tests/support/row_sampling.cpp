#include "support/row_sampling.h"

#include <algorithm>
#include <utility>

namespace weft::test {
namespace {

std::vector<Range> cut(std::int64_t vocab, int ranks) {
  const std::int64_t blocks = ceil_div(vocab, kVocabBlock);
  std::vector<Range> columns;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto edge = [&](int i) { return std::min(vocab, blocks * i / ranks * kVocabBlock); };
    columns.push_back({edge(rank), edge(rank + 1)});
  }
  return columns;
}

}  // namespace

RowSampling::RowSampling(std::int64_t vocab, Ops& ops, std::vector<TokenId> eos, Group* group)
    : ops_(ops),
      alone_(make_self_group()),
      group_(group == nullptr ? *alone_ : *group),
      columns_(cut(vocab, group_.size())),
      vocabulary_(columns_, kSamplerRows, ops, group_),
      sampler_(vocabulary_, std::move(eos), true) {}

std::vector<SampledToken> RowSampling::sample(std::span<const float> logits,
                                              std::span<const LogitRow> rows) {
  const Range own = columns_[static_cast<std::size_t>(group_.rank())];
  const auto width = static_cast<std::size_t>(columns_.back().end);
  std::vector<float> mine;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const auto whole = logits.subspan(row * width, width);
    mine.insert(mine.end(), whole.begin() + own.begin, whole.begin() + own.end);
  }
  const Buffer buffer(ops_.memory(), std::max<Bytes>(mine.size() * sizeof(float), 1));
  const Tensor tensor =
      buffer.tensor(DType::f32, {static_cast<std::int64_t>(rows.size()), own.size()});
  ops_.upload(std::as_bytes(std::span(mine)), tensor);
  std::vector<SampledToken> sampled_tokens = sampler_.sample(tensor, rows);
  std::vector<float> after(mine.size());
  ops_.download(tensor, std::as_writable_bytes(std::span(after)));
  const bool unchanged = std::equal(mine.begin(), mine.end(), after.begin(),
                                    [](float a, float b) { return a == b || (a != a && b != b); });
  require(unchanged, "choosing tokens changed the logits");
  return sampled_tokens;
}

std::vector<SamplingParams> kinds_of_sampling() {
  std::vector<SamplingParams> kinds(14);
  for (SamplingParams& params : kinds) params.max_tokens = 100;
  kinds[0].temperature = 0;
  kinds[1].temperature = 0.7;
  kinds[2].top_p = 0.8;
  kinds[3].top_p = 0.05;
  kinds[4].top_k = 3;
  kinds[5].top_k = 400;
  kinds[6].min_p = 0.2;
  kinds[7].presence_penalty = 2;
  kinds[8].repetition_penalty = 1.5;
  kinds[8].temperature = 0;
  kinds[9].logit_bias = {{0, 4}, {255, -100}, {256, 5}};
  kinds[10].allowed_token_ids = {1, 250, 290};
  kinds[11].logprobs = 20;
  kinds[12].logprobs = 0;
  kinds[12].top_p = 0.9;
  kinds[12].frequency_penalty = 1;
  kinds[13].min_tokens = 50;
  kinds[13].temperature = 0;
  return kinds;
}

Sequence sequence_of(std::vector<TokenId> prompt, const SamplingParams& params,
                     std::int64_t choice) {
  Request request;
  request.prompt = std::move(prompt);
  request.sampling = params;
  request.choice = choice;
  return Sequence(std::move(request), nullptr);
}

}  // namespace weft::test
