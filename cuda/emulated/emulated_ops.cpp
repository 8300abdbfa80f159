#include "cuda/emulated/emulated_ops.h"

#include "cuda/ops/device_ops.h"

namespace weft {

std::unique_ptr<GpuOps> make_emulated_ops(const GpuOptions& options, bool guarded) {
  return std::make_unique<emulated::DeviceOps>(emulated::RuntimeOptions{options, guarded},
                                               options.sampling);
}

}  // namespace weft
