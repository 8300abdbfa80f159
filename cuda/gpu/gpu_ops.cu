#include "cuda/ops/device_ops.h"

namespace weft {

std::unique_ptr<GpuOps> make_gpu_ops(int device) {
  return std::make_unique<gpu::DeviceOps>(gpu::RuntimeOptions{device});
}

}  // namespace weft
