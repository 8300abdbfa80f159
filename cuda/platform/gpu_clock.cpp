#include "cuda/platform/gpu_clock.h"

#include <cmath>
#include <utility>

namespace weft::gpu {

bool GpuClock::recording() const {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  WEFT_CUDA(cudaStreamIsCapturing(stream_, &status));
  return status != cudaStreamCaptureStatusNone;
}

void GpuClock::mark() {
  if (recording()) {
    set_.emplace_back();
    return;
  }
  Event event;
  if (free_.empty()) {
    WEFT_CUDA(cudaEventCreate(event.out()));
  } else {
    event = std::move(free_.back());
    free_.pop_back();
  }
  WEFT_CUDA(cudaEventRecord(event.get(), stream_));
  set_.push_back(std::move(event));
}

void GpuClock::read(std::vector<std::int64_t>& gaps) {
  // The thread that captures must not ask after events: that would end the capture in an error.
  if (recording()) return;
  while (!set_.empty()) {
    if (set_.front().get() == nullptr) {
      gaps.push_back(0);
      set_.pop_front();
      continue;
    }
    const cudaError_t state = cudaEventQuery(set_.front().get());
    if (state == cudaErrorNotReady) return;
    WEFT_CUDA(state);
    float milliseconds = 0;
    if (last_.get() != nullptr) {
      WEFT_CUDA(cudaEventElapsedTime(&milliseconds, last_.get(), set_.front().get()));
      free_.push_back(std::move(last_));
    }
    gaps.push_back(std::llround(double{milliseconds} * 1e6));
    last_ = std::move(set_.front());
    set_.pop_front();
  }
}

}  // namespace weft::gpu
