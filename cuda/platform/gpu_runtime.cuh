// cuda/platform/runtime.h on a GPU: one device, one stream.
#pragma once

#include <memory>
#include <string>

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
  [[nodiscard]] std::unique_ptr<LibraryProducts> library_products() const;
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
  /// From device to host; the bytes are there on return.
  void copy_out(const void* from, void* to, Bytes bytes);
  /// Within the device, behind all work of the stream.
  void copy_across(const void* from, void* to, Bytes bytes);
  /// Zeros, behind all work of the stream.
  void clear(void* to, Bytes bytes);
  /// Returns when all work of the stream is done.
  void wait();

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
    config.numAttrs = early_ && !packed_ ? 1 : 0;
    packed_ = kWritesWeights<Kernel>;
    check(cudaLaunchKernelEx(&config, enter<Kernel>, kernel), name);
  }

 private:
  static void check(cudaError_t status, const char* kernel);

  int device_;
  cudaDeviceProp properties_{};
  int multiprocessors_;  ///< what schedules reckon with
  Bytes scratch_bytes_;
  std::size_t shared_bytes_;
  bool fast_;
  bool early_;           ///< kernels may begin before those in front of them have ended
  bool packed_ = false;  ///< the latest launch wrote weights
  Stream stream_;
  GpuClock clock_;
  DeviceMemory memory_;
  PinnedMemory host_memory_;
  Buffer ring_;  ///< page-locked: small copies wait here for the device
  Bytes ring_used_ = 0;
};

}  // namespace weft::gpu
