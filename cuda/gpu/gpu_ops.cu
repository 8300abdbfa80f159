#include "cuda/ops/device_ops.h"

namespace weft {

std::unique_ptr<GpuOps> make_gpu_ops(const GpuOptions& options) {
  return std::make_unique<gpu::DeviceOps>(options, options.sampling);
}

}  // namespace weft
