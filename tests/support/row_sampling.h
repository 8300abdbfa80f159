// Choosing tokens from rows of logits that a test made up, in the test's own process.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/group.h"
#include "engine/sampler.h"
#include "ops/ops.h"

namespace weft::test {

/// A vocabulary of `vocab` tokens whose blocks are cut among the ranks of a group as a model's are.
class RowSampling {
 public:
  /// `ops` and `group` must outlive it. A null group is one of its own.
  RowSampling(std::int64_t vocab, Ops& ops, std::vector<TokenId> eos = {}, Group* group = nullptr);

  /// What rows of whole logits [rows.size(), vocab] yield; every rank gives the same.
  std::vector<SampledToken> sample(std::span<const float> logits, std::span<const LogitRow> rows);

 private:
  Ops& ops_;
  std::unique_ptr<Group> alone_;
  Group& group_;
  std::vector<Range> columns_;
  Vocabulary vocabulary_;
  Sampler sampler_;
};

/// Most rows of one call.
inline constexpr std::int64_t kSamplerRows = 160;

/// Parameters of every kind, for vocabularies of 300 tokens or more.
std::vector<SamplingParams> kinds_of_sampling();

/// A sequence with that prompt and those parameters.
Sequence sequence_of(std::vector<TokenId> prompt, const SamplingParams& params,
                     std::int64_t choice = 0);

}  // namespace weft::test
