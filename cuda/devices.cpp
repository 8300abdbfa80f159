#include "cuda/devices.h"

#include <fmt/format.h>

#include <filesystem>

#include "comm/session.h"
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

/// Whether an error says that there is none, and not that one is out of order. Without a driver
/// CUDA says that the driver is too old; the kernel's part of the driver tells the two apart.
bool means_no_gpu(cudaError_t error) {
  if (error == cudaErrorNoDevice) return true;
  return error == cudaErrorInsufficientDriver &&
         !std::filesystem::exists("/proc/driver/nvidia/version");
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
  const cudaError_t found = cudaGetDeviceCount(&count);
  if (found != cudaSuccess) {
    (void)cudaGetLastError();
    if (means_no_gpu(found)) return {};
    fail_user("the GPUs of {} cannot be used: {} ({})", host_name(), cudaGetErrorString(found),
              cudaGetErrorName(found));
  }
  std::vector<GpuDevice> devices;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    const cudaError_t asked = cudaGetDeviceProperties(&properties, i);
    if (asked != cudaSuccess) {
      (void)cudaGetLastError();
      fail_user("GPU {} of {} cannot be used: {} ({}); CUDA_VISIBLE_DEVICES can leave it out", i,
                host_name(), cudaGetErrorString(asked), cudaGetErrorName(asked));
    }
    devices.push_back({properties.name, uuid_text(properties.uuid), properties.major,
                       properties.minor, properties.totalGlobalMem});
  }
  return devices;
}

}  // namespace weft
