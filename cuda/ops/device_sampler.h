// Choosing tokens on a GPU or in the emulation: ops/row_sampler.h over cuda/kernels/sampling.h
// (sampling.inl) and chosen.h (answers.inl).
#pragma once

#include <deque>
#include <vector>

#include "base/buffer.h"
#include "cuda/platform/runtime.h"
#include "ops/ops.h"

namespace weft::WEFT_PLATFORM {

class DeviceSampler final : public RowSampler {
 public:
  /// Both must outlive it.
  DeviceSampler(Runtime& runtime, Ops& ops) : runtime_(runtime), ops_(ops) {}
  DeviceSampler(const DeviceSampler&) = delete;
  DeviceSampler& operator=(const DeviceSampler&) = delete;
  ~DeviceSampler() override;

  [[nodiscard]] SamplerLimits limits() const override;
  SamplingTicket start(const Tensor& logits, const RowQuery& query, std::size_t top_width,
                       std::span<std::byte> room, const Tensor& kept) override;
  void finish(SamplingTicket ticket, std::span<RowChoice> choices,
              std::span<ScoredToken> top) override;
  PlacedAnswers place(const Tensor& logits, const RowQuery& query, std::size_t top_width,
                      std::span<std::byte> room) override;
  void tell_candidates(std::span<const std::byte> choices, TokenId first,
                       std::span<std::byte> candidates) override;
  void take_best(std::span<const std::byte> candidates, int ranks,
                 const AnswerPlaces& places) override;
  void take(const PlacedAnswers& answers, const AnswerPlaces& places) override;
  SamplingTicket hand_over(std::span<const std::byte> answers) override;
  void put_kept(const Tensor& kept, const KeptLookup& lookup) override;

 private:
  /// Answers on their way to the host. They have memory of their own until they are finished: the
  /// device writes it when it gets there, and the host does not know when that is before the mark.
  struct Answers {
    Buffer host;  ///< choices, then likeliest tokens
    Bytes bytes = 0;
    Mark there;
    bool under_way = false;
  };

  /// One that is free, with that much memory at least.
  SamplingTicket free_answers(Bytes bytes);

  Runtime& runtime_;
  Ops& ops_;
  std::vector<std::byte> message_;  ///< on its way to the device
  std::deque<Answers> answers_;     ///< by ticket
};

}  // namespace weft::WEFT_PLATFORM
