// Memory of a GPU, and the host's memory that it copies from and to fastest.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>

#include "base/buffer.h"
#include "cuda/platform/pieces.h"

namespace weft::gpu {

/// cudaMalloc on the device that was current at construction.
class DeviceMemory final : public Memory {
 public:
  /// Zero-fills on `stream`.
  explicit DeviceMemory(cudaStream_t stream) : stream_(stream) {}

  /// Whether bytes lie in what this memory has handed out, or are none at the end of it.
  [[nodiscard]] bool owns(std::span<const std::byte> bytes) const { return pieces_.hold(bytes); }

 private:
  void* take(Bytes bytes) override;
  void give(void* data, Bytes bytes) noexcept override;

  cudaStream_t stream_;
  Pieces pieces_;
};

/// Block-locked memory of the host.
class PinnedMemory final : public Memory {
 private:
  void* take(Bytes bytes) override;
  void give(void* data, Bytes bytes) noexcept override;
};

}  // namespace weft::gpu
