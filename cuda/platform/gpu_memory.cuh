// Memory of a GPU, and the host's memory that it copies from and to fastest.
#pragma once

#include <cuda_runtime_api.h>

#include <map>

#include "base/buffer.h"

namespace weft::gpu {

/// cudaMalloc on the device that was current at construction.
class DeviceMemory final : public Memory {
 public:
  /// Zero-fills on `stream`.
  explicit DeviceMemory(cudaStream_t stream) : stream_(stream) {}

  /// Whether an address lies in what this memory has handed out.
  [[nodiscard]] bool owns(const void* address) const;

 private:
  void* take(Bytes bytes) override;
  void give(void* data, Bytes bytes) noexcept override;

  cudaStream_t stream_;
  std::map<const std::byte*, Bytes> pieces_;
};

/// Page-locked memory of the host.
class PinnedMemory final : public Memory {
 private:
  void* take(Bytes bytes) override;
  void give(void* data, Bytes bytes) noexcept override;
};

}  // namespace weft::gpu
