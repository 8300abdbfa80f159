#include <cuda_runtime_api.h>

#include <deque>
#include <mutex>
#include <vector>

#include "cuda/platform/cuda_check.cuh"
#include "cuda/stream_marks.h"

namespace weft {
namespace {

class GpuMarks final : public StreamMarks {
 public:
  explicit GpuMarks(cudaStream_t stream) : stream_(stream) { WEFT_CUDA(cudaGetDevice(&device_)); }

  void enter_thread() override { WEFT_CUDA(cudaSetDevice(device_)); }

  Mark set() override {
    const Mark mark = free_mark();
    WEFT_CUDA(cudaEventRecord(event(mark), stream_));
    return mark;
  }

  bool passed(Mark mark) override {
    const cudaError_t state = cudaEventQuery(event(mark));
    if (state == cudaErrorNotReady) return false;
    WEFT_CUDA(state);
    return true;
  }

  void give_back(Mark mark) override {
    const std::lock_guard lock(mutex_);
    free_.push_back(mark);
  }

 private:
  Mark free_mark() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        const Mark mark = free_.back();
        free_.pop_back();
        return mark;
      }
    }
    // Nothing of CUDA is called under the lock: the call may take as long as the device likes.
    Event event;
    WEFT_CUDA(cudaEventCreateWithFlags(event.out(), cudaEventDisableTiming));
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    return events_.size() - 1;
  }

  cudaEvent_t event(Mark mark) {
    const std::lock_guard lock(mutex_);
    return events_[mark].get();
  }

  cudaStream_t stream_;
  int device_ = 0;
  std::mutex mutex_;
  std::deque<Event> events_;
  std::vector<Mark> free_;
};

}  // namespace

std::unique_ptr<StreamMarks> make_stream_marks(void* stream) {
  return std::make_unique<GpuMarks>(static_cast<cudaStream_t>(stream));
}

}  // namespace weft
