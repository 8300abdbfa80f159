#include "cuda/devices.h"

#include <fmt/format.h>

#include "cuda/platform/cuda_check.cuh"

namespace weft {
namespace {

std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

}  // namespace

std::string cuda_toolkit() {
  return fmt::format("{}.{}", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
}

Bytes gpu_free_memory(int device) {
  Bytes left = 0;
  Bytes total = 0;
  WEFT_CUDA(cudaSetDevice(device));
  WEFT_CUDA(cudaMemGetInfo(&left, &total));
  return left;
}

std::vector<GpuDevice> gpu_devices() {
  int count = 0;
  // No driver or no device is an answer, not a failure.
  if (cudaGetDeviceCount(&count) != cudaSuccess) return {};
  std::vector<GpuDevice> devices;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    devices.push_back({properties.name, uuid_text(properties.uuid), properties.major,
                       properties.minor, properties.totalGlobalMem});
  }
  return devices;
}

}  // namespace weft
