// cuda/platform/runtime.h on a GPU: one device, one stream.
#pragma once

#include <memory>
#include <string>

#include "base/fence.h"
#include "cuda/gpu_ops.h"
#include "cuda/ops/library_products.h"
#include "cuda/platform/cuda_check.cuh"
#include "cuda/platform/gpu_clock.h"
#include "cuda/platform/gpu_memory.cuh"
#include "cuda/platform/grid.h"

namespace weft::gpu {

using RuntimeOptions = GpuOptions;

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads) enter(const __grid_constant__ Kernel kernel) {
  allow_next();
  if constexpr (!kWaitsItself<Kernel>) wait_for_previous();
  kernel();
}

/// A point of the stream that the host can wait for.
using Mark = Event;

/// Work that can be done again: a graph, with the arguments of its kernels as they were.
using Recording = GraphExec;

class Runtime {
 public:
  /// Makes the device current for this thread and a stream on it.
  explicit Runtime(const RuntimeOptions& options);
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime() = default;

  [[nodiscard]] Memory& memory() { return memory_; }
  [[nodiscard]] Memory& host_memory() { return host_memory_; }
  [[nodiscard]] bool owns(std::span<const std::byte> bytes) const { return memory_.owns(bytes); }
  [[nodiscard]] int multiprocessors() const { return multiprocessors_; }
  /// "cuda sm_90: NVIDIA H200"
  [[nodiscard]] std::string description() const;
  [[nodiscard]] DeviceClock& clock() { return clock_; }
  /// In `numerics: fast`, what computes products of many rows; null otherwise.
  [[nodiscard]] std::unique_ptr<LibraryProducts> blas_products() const;
  [[nodiscard]] cudaStream_t stream() const { return stream_.get(); }
  /// Shared memory that a block can have.
  [[nodiscard]] std::size_t shared_bytes() const { return shared_bytes_; }
  /// What operators may take for themselves.
  [[nodiscard]] Bytes scratch_bytes() const { return scratch_bytes_; }

  /// Makes the device current for the calling thread too.
  void enter_thread() const { WEFT_CUDA(cudaSetDevice(device_)); }

  /// From host to device, behind all work of the stream. `from` may be overwritten on return. Small
  /// copies do not wait for the device.
  void copy_in(const void* from, void* to, Bytes bytes);
  /// The same, but `from` may be read until a fence that is set afterwards is passed.
  void copy_in_later(const void* from, void* to, Bytes bytes);
  /// A fence in the work of the stream, for a thread that may be another one.
  [[nodiscard]] std::unique_ptr<Fence> make_fence() const;
  /// From device to host; the bytes are there on return.
  void copy_out(const void* from, void* to, Bytes bytes);
  /// From device to memory of `host_memory()`, behind all work of the stream. The bytes are there
  /// when the host has waited for a mark that was set afterwards; until then nobody else may touch
  /// them.
  void start_copy_out(const void* from, void* to, Bytes bytes);
  /// Sets a mark behind all work of the stream, in place of where it stood.
  void set(Mark& mark);
  /// Returns when the stream has come by. Does not wait for what was asked for afterwards.
  void wait_for(const Mark& mark);
  /// Within the device, behind all work of the stream.
  void copy_across(const void* from, void* to, Bytes bytes);
  /// Zeros, behind all work of the stream.
  void clear(void* to, Bytes bytes);
  /// Returns when all work of the stream is done.
  void wait();

  /// From here on, this thread's work for the stream is captured instead of done; until
  /// `end_recording`. Copies between host and device, waiting and taking memory are errors
  /// meanwhile.
  void begin_recording();
  Recording end_recording();
  /// The work that was captured is forgotten.
  void abandon_recording() noexcept;
  [[nodiscard]] bool recording() const { return recording_; }
  /// Behind all work of the stream.
  void replay(const Recording& recording);

  /// Copies between host and device and waits so far: what can be recorded has none.
  [[nodiscard]] std::int64_t host_steps() const { return host_steps_; }
  /// What is asked for next must not begin before the work of others in front of it has ended.
  void note_foreign() { alone_ = alone_ || recording_; }

  template <class Kernel>
  void launch(const char* name, const Grid& grid, int threads, std::size_t shared_bytes,
              const Kernel& kernel) {
    if (grid.blocks() == 0) return;
    static std::size_t allowed = 48U << 10U;  // one device for each process
    if (shared_bytes > allowed) {
      check(cudaFuncSetAttribute(enter<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared_bytes)),
            name);
      allowed = shared_bytes;
    }
    cudaLaunchAttribute early{};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                          static_cast<unsigned>(grid.z));
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream_.get();
    config.attrs = &early;
    config.numAttrs = early_ && !packed_ && !alone_ ? 1 : 0;
    packed_ = kWritesWeights<Kernel>;
    alone_ = false;
    check(cudaLaunchKernelEx(&config, enter<Kernel>, kernel), name);
  }

 private:
  static void check(cudaError_t status, const char* kernel);
  void step_of_host(const char* what);
  void turn_ring();

  int device_;
  cudaDeviceProp properties_{};
  int multiprocessors_;  ///< what schedules reckon with
  Bytes scratch_bytes_;
  std::size_t shared_bytes_;
  bool fast_;
  bool early_;           ///< kernels may begin before those in front of them have ended
  bool packed_ = false;  ///< the latest launch wrote weights
  /// The next launch waits for all before it: within a graph only kernels of ours begin early, and
  /// only behind each other.
  bool alone_ = false;
  bool recording_ = false;
  std::int64_t host_steps_ = 0;
  Stream stream_;
  GpuClock clock_;
  DeviceMemory memory_;
  PinnedMemory host_memory_;
  /// Block-locked: small copies wait here for the device. While it takes those of one half, the
  /// host fills the other.
  Buffer ring_;
  int ring_half_ = 0;    ///< that is filled
  Bytes ring_used_ = 0;  ///< of this half
  Mark ring_left_[2];    ///< behind the last copy from a half
};

}  // namespace weft::gpu
