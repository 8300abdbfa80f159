// Choosing tokens on a GPU or in the emulation: ops/row_sampler.h over cuda/kernels/sampling.h
// (sampling.inl) and chosen.h (answers.inl).
#pragma once

#include <deque>
#include <vector>

#include "base/buffer.h"
#include "cuda/platform/runtime.h"
#include "ops/ops.h"
#include "ops/rank_merge.h"
#include "ops/row_sampler.h"

namespace weft::WEFT_PLATFORM {

class DeviceSampler final : public RowSampler, public RankMerge {
 public:
  /// Both must outlive it.
  DeviceSampler(Runtime& runtime, Ops& ops) : runtime_(runtime), ops_(ops) {}
  DeviceSampler(const DeviceSampler&) = delete;
  DeviceSampler& operator=(const DeviceSampler&) = delete;
  ~DeviceSampler() override;

  [[nodiscard]] SamplerLimits limits() const override;
  SamplingTicket start(const Tensor& logits, const SamplingRequests& query, std::size_t top_width,
                       std::span<std::byte> room, const Tensor& device_tokens) override;
  void finish(SamplingTicket ticket, std::span<SamplingResult> results,
              std::span<ScoredToken> top) override;
  RankMerge& merge() override { return *this; }
  DeviceResults place(const Tensor& logits, const SamplingRequests& query, std::size_t top_width,
                      std::span<std::byte> room) override;
  void tell_candidates(std::span<const std::byte> results, TokenId first,
                       std::span<std::byte> candidates) override;
  void take_best(std::span<const std::byte> candidates, int ranks,
                 const ResultSlots& places) override;
  void take(const DeviceResults& pending, const ResultSlots& places) override;
  SamplingTicket hand_over(std::span<const std::byte> pending) override;
  void resolve_device_tokens(const Tensor& device_tokens, const DeviceTokenLookup& lookup) override;

 private:
  /// Answers on their way to the host. They have memory of their own until they are finished: the
  /// device writes it when it gets there, and the host does not know when that is before the mark.
  struct PendingResults {
    Buffer host;  ///< choices, then likeliest tokens
    Bytes bytes = 0;
    Mark there;
    bool under_way = false;
  };

  /// One that is free, with that much memory at least.
  SamplingTicket free_results(Bytes bytes);

  Runtime& runtime_;
  Ops& ops_;
  std::vector<std::byte> message_;      ///< on its way to the device
  std::deque<PendingResults> pending_;  ///< by ticket
};

}  // namespace weft::WEFT_PLATFORM
