// From the logits of rows to the next tokens of their sequences.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "engine/sampled_token.h"
#include "engine/sequence.h"
#include "model/forward/device_sampling.h"
#include "model/forward/vocabulary.h"

namespace weft {

/// A row of logits and what it is for: the token at `position` of the sequence. That token is known
/// when it belongs to the prompt, else it is to be chosen.
struct LogitRow {
  const Sequence* sequence = nullptr;
  std::int64_t position = 0;
  std::int32_t token_slot = -1;  ///< where the token is kept for the next step; -1: nowhere

  [[nodiscard]] const SamplingParams& sampling() const { return sequence->request.sampling; }
  [[nodiscard]] bool known() const {
    return position < static_cast<std::int64_t>(sequence->tokens.size());
  }
  /// Drafted tokens between the sequence's and the one that is to be chosen.
  [[nodiscard]] std::span<const TokenId> drafted() const {
    const auto before = static_cast<std::size_t>(position) - sequence->tokens.size();
    return std::span(sequence->drafts).first(std::min(before, sequence->drafts.size()));
  }
  /// The known token.
  [[nodiscard]] TokenId token() const {
    return sequence->tokens[static_cast<std::size_t>(position)];
  }
};

/// Rows whose tokens are being chosen where their logits are. Does not need their sequences.
struct StartedSampling {
  std::vector<SampledToken> sampled_tokens;  ///< of all rows, as far as they are known
  std::vector<std::int32_t> rows;  ///< the others, in the order in which they were asked about
  std::vector<bool> scored;        ///< of these: whether log-probabilities are wanted
  StartedRows started;             ///< where there are any
};

/// Chooses tokens for rows of logits that are spread over a group of ranks; all of them call it
/// with the same sequences and get the same choices.
class Sampler {
 public:
  /// `eos`: every one of them ends a sequence. `digest`: take the rows' digests.
  /// `vocabulary` must outlive the chooser.
  Sampler(Vocabulary& vocabulary, std::vector<TokenId> eos, bool digest);

  /// What each row [R, own vocabulary] of logits yields. Reads the sequences' sampling parameters
  /// and tokens so far. Logits are changed meanwhile, and afterwards as they were.
  std::vector<SampledToken> sample(const Tensor& logits, std::span<const LogitRow> rows);

  /// The same without waiting: `finish` waits. Tokens of rows with a `token_slot` stay in
  /// `device_tokens`, where the operators run. Nothing is done and given where the host has a part
  /// in choosing.
  std::optional<StartedSampling> start(const Tensor& logits, std::span<const LogitRow> rows,
                                       const Tensor& device_tokens);
  std::vector<SampledToken> finish(StartedSampling started);
  /// Whether `start` does these rows, which may be another rank's.
  [[nodiscard]] bool can_start(std::span<const LogitRow> rows) const;

 private:
  struct Edits {
    std::vector<RowToken> places;
    std::vector<float> raw;
  };

  /// Chooses tokens where the logits are; gives the rows that are left to the host.
  std::vector<std::int32_t> sample_on_device(DeviceSampling& device_sampling, const Tensor& logits,
                                             std::span<const LogitRow> rows,
                                             std::vector<SampledToken>& sampled_tokens);
  void sample_on_host(const Tensor& logits, std::span<const LogitRow> rows,
                      std::span<const std::int32_t> which,
                      std::vector<SampledToken>& sampled_tokens);
  Edits edit(const Tensor& logits, std::span<const LogitRow> rows,
             std::span<const std::int32_t> which);
  void sample_tokens(const Tensor& logits, std::span<const LogitRow> rows,
                     std::span<const std::int32_t> which, std::span<const TokenId> greedy,
                     std::vector<SampledToken>& sampled_tokens);
  void sample_allowed(const Tensor& logits, std::span<const LogitRow> rows,
                      std::span<const std::int32_t> which,
                      std::vector<SampledToken>& sampled_tokens);
  void sample_top_k(const Tensor& logits, std::span<const LogitRow> rows,
                    std::span<const std::int32_t> which, std::vector<SampledToken>& sampled_tokens);
  void draw(const Tensor& logits, std::span<const LogitRow> rows,
            std::span<const std::int32_t> which, std::span<const TokenId> greedy,
            std::vector<SampledToken>& sampled_tokens);

  Vocabulary& vocabulary_;
  std::vector<TokenId> eos_;
  bool digest_;
};

}  // namespace weft
