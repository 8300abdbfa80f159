#include "cuda/platform/runtime.h"

#include <fmt/format.h>

#include <cstring>

#include "cuda/cublaslt_products.cuh"

namespace weft::gpu {
namespace {

constexpr Bytes kRing = Bytes{8} << 20;
/// Larger copies wait for the device. The index arrays of a step, block tables above all, are
/// smaller.
constexpr Bytes kSmall = Bytes{2} << 20;
static_assert(kSmall <= kRing / 2);

/// Makes the device current before anything is made on it.
cudaDeviceProp properties_of(int device) {
  WEFT_CUDA(cudaSetDevice(device));
  cudaDeviceProp properties{};
  WEFT_CUDA(cudaGetDeviceProperties(&properties, device));
  return properties;
}

Stream make_stream() {
  Stream stream;
  WEFT_CUDA(cudaStreamCreateWithFlags(stream.out(), cudaStreamNonBlocking));
  return stream;
}

/// An event. Whoever waits for it sleeps: the processor has blocks to check.
class StreamFence final : public Fence {
 public:
  StreamFence(int device, cudaStream_t stream) : device_(device), stream_(stream) {
    WEFT_CUDA(cudaSetDevice(device_));
    WEFT_CUDA(
        cudaEventCreateWithFlags(event_.out(), cudaEventDisableTiming | cudaEventBlockingSync));
  }
  void set() override {
    WEFT_CUDA(cudaSetDevice(device_));
    WEFT_CUDA(cudaEventRecord(event_.get(), stream_));
  }
  /// CUDA counts an event that was never recorded as passed.
  void wait() override { WEFT_CUDA(cudaEventSynchronize(event_.get())); }

 private:
  int device_;
  cudaStream_t stream_;
  Event event_;
};

}  // namespace

Runtime::Runtime(const RuntimeOptions& options)
    : device_(options.device),
      properties_(properties_of(options.device)),
      multiprocessors_(options.multiprocessors > 0 ? options.multiprocessors
                                                   : properties_.multiProcessorCount),
      scratch_bytes_(options.scratch),
      shared_bytes_(options.shared > 0 ? options.shared : properties_.sharedMemPerBlockOptin),
      fast_(options.fast),
      early_(options.early_launches && properties_.major >= 9),
      stream_(make_stream()),
      clock_(stream_.get()),
      memory_(stream_.get()),
      ring_(host_memory_, kRing) {}

std::string Runtime::description() const {
  return fmt::format("cuda sm_{}{}: {}", properties_.major, properties_.minor, properties_.name);
}

std::unique_ptr<LibraryProducts> Runtime::blas_products() const {
  return fast_ ? make_cublaslt_products(stream_.get()) : nullptr;
}

void Runtime::step_of_host(const char* what) {
  require(!recording_, "{} while work is recorded", what);
  ++host_steps_;
}

void Runtime::copy_in(const void* from, void* to, Bytes bytes) {
  step_of_host("a copy to the device");
  if (bytes == 0) return;
  if (bytes > kSmall) {
    WEFT_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_.get()));
    return wait();
  }
  if (ring_used_ + bytes > kRing / 2) turn_ring();
  std::byte* const place = ring_.data() + ring_half_ * (kRing / 2) + ring_used_;
  ring_used_ += (bytes + 63) / 64 * 64;
  std::memcpy(place, from, bytes);
  WEFT_CUDA(cudaMemcpyAsync(to, place, bytes, cudaMemcpyHostToDevice, stream_.get()));
}

/// Goes on in the other half, as soon as the copies from there are done: others may be under way.
void Runtime::turn_ring() {
  set(ring_left_[ring_half_]);
  ring_half_ = 1 - ring_half_;
  ring_used_ = 0;
  if (ring_left_[ring_half_].get() != nullptr) wait_for(ring_left_[ring_half_]);
}

void Runtime::start_copy_out(const void* from, void* to, Bytes bytes) {
  step_of_host("a copy from the device");
  if (bytes == 0) return;
  WEFT_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_.get()));
}

void Runtime::set(Mark& mark) {
  step_of_host("a mark");
  if (mark.get() == nullptr) {
    WEFT_CUDA(cudaEventCreateWithFlags(mark.out(), cudaEventDisableTiming));
  }
  WEFT_CUDA(cudaEventRecord(mark.get(), stream_.get()));
}

void Runtime::wait_for(const Mark& mark) {
  step_of_host("waiting");
  require(mark.get() != nullptr, "a mark that was never set");
  WEFT_CUDA(cudaEventSynchronize(mark.get()));
}

void Runtime::copy_in_later(const void* from, void* to, Bytes bytes) {
  step_of_host("a copy to the device");
  if (bytes == 0) return;
  WEFT_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_.get()));
}

std::unique_ptr<Fence> Runtime::make_fence() const {
  return std::make_unique<StreamFence>(device_, stream_.get());
}

void Runtime::copy_out(const void* from, void* to, Bytes bytes) {
  step_of_host("a copy from the device");
  if (bytes == 0) return;
  WEFT_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_.get()));
  wait();
}

void Runtime::copy_across(const void* from, void* to, Bytes bytes) {
  if (bytes == 0) return;
  WEFT_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_.get()));
  note_foreign();
}

void Runtime::clear(void* to, Bytes bytes) {
  if (bytes == 0) return;
  WEFT_CUDA(cudaMemsetAsync(to, 0, bytes, stream_.get()));
  note_foreign();
}

void Runtime::wait() {
  step_of_host("waiting");
  WEFT_CUDA(cudaStreamSynchronize(stream_.get()));
}

// Other threads keep asking after events meanwhile (NCCL's watchdog): the capture is this thread's.
void Runtime::begin_recording() {
  require(!recording_, "a recording within a recording");
  WEFT_CUDA(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal));
  recording_ = true;
  alone_ = true;
}

Recording Runtime::end_recording() {
  recording_ = false;
  Graph graph;
  WEFT_CUDA(cudaStreamEndCapture(stream_.get(), graph.out()));
  Recording recording;
  WEFT_CUDA(cudaGraphInstantiateWithFlags(recording.out(), graph.get(), 0));
  WEFT_CUDA(cudaGraphUpload(recording.get(), stream_.get()));
  return recording;
}

void Runtime::abandon_recording() noexcept {
  recording_ = false;
  Graph graph;  // none where the capture had failed already
  (void)cudaStreamEndCapture(stream_.get(), graph.out());
  (void)cudaGetLastError();
}

void Runtime::replay(const Recording& recording) {
  require(!recording_, "a replay while work is recorded");
  WEFT_CUDA(cudaGraphLaunch(recording.get(), stream_.get()));
  alone_ = true;
}

void Runtime::check(cudaError_t status, const char* kernel) {
  if (status == cudaSuccess) return;
  fail("launch of {} failed: {} ({})", kernel, cudaGetErrorString(status),
       cudaGetErrorName(status));
}

}  // namespace weft::gpu
