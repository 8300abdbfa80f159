// The clock of a CUDA stream.
#pragma once

#include <cuda_runtime_api.h>

#include <deque>
#include <vector>

#include "base/device_clock.h"
#include "cuda/platform/cuda_check.cuh"

namespace weft::gpu {

/// Marks are timed events, which are kept for later marks. A mark that is set while the stream is
/// captured into a graph counts as passed together with the one before it, and no mark is seen
/// passed meanwhile.
class GpuClock final : public DeviceClock {
 public:
  /// `stream` must outlive it.
  explicit GpuClock(cudaStream_t stream) : stream_(stream) {}

  void mark() override;
  void read(std::vector<std::int64_t>& gaps) override;

 private:
  [[nodiscard]] bool recording() const;

  cudaStream_t stream_;
  std::vector<Event> free_;
  std::deque<Event> set_;  ///< in the order of the stream; null: set during a capture
  Event last_;             ///< the last one that was read
};

}  // namespace weft::gpu
