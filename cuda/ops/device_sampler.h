// Choosing tokens on a GPU or in the emulation: ops/row_sampler.h over cuda/kernels/sampling.h.
#pragma once

#include <vector>

#include "cuda/platform/runtime.h"
#include "ops/ops.h"

namespace weft::WEFT_PLATFORM {

class DeviceSampler final : public RowSampler {
 public:
  /// Both must outlive it.
  DeviceSampler(Runtime& runtime, Ops& ops) : runtime_(runtime), ops_(ops) {}

  [[nodiscard]] SamplerLimits limits() const override;
  void choose(const Tensor& logits, const RowQuery& query, std::span<std::byte> room,
              std::span<RowChoice> choices, std::span<ScoredToken> top) override;

 private:
  Runtime& runtime_;
  Ops& ops_;
  std::vector<std::byte> message_;  ///< on its way to the device or back
};

}  // namespace weft::WEFT_PLATFORM
