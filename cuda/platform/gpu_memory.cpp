#include "cuda/platform/gpu_memory.cuh"

#include <cstring>

#include "cuda/platform/cuda_check.cuh"

namespace weft::gpu {

void* DeviceMemory::take(Bytes bytes) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  WEFT_CUDA(cudaStreamIsCapturing(stream_, &status));
  require(status == cudaStreamCaptureStatusNone, "GPU memory is taken while work is recorded");
  void* data = nullptr;
  if (cudaMalloc(&data, bytes) != cudaSuccess) {
    (void)cudaGetLastError();
    Bytes left = 0;
    Bytes total = 0;
    WEFT_CUDA(cudaMemGetInfo(&left, &total));
    fail("out of GPU memory: {} bytes asked for, {} of {} are free", bytes, left, total);
  }
  pieces_.add(data, bytes);
  WEFT_CUDA(cudaMemsetAsync(data, 0, bytes, stream_));
  return data;
}

void DeviceMemory::give(void* data, Bytes /*bytes*/) noexcept {
  pieces_.remove(data);
  (void)cudaFree(data);
}

void* PinnedMemory::take(Bytes bytes) {
  void* data = nullptr;
  WEFT_CUDA(cudaMallocHost(&data, bytes));
  std::memset(data, 0, bytes);
  return data;
}

void PinnedMemory::give(void* data, Bytes /*bytes*/) noexcept { (void)cudaFreeHost(data); }

}  // namespace weft::gpu
