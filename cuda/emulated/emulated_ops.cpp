#include "cuda/emulated/emulated_ops.h"

#include "cuda/ops/device_ops.h"

namespace weft {

std::unique_ptr<GpuOps> make_emulated_ops(const EmulationOptions& options) {
  emulated::RuntimeOptions runtime;
  runtime.guarded = options.guarded;
  runtime.multiprocessors = options.multiprocessors;
  runtime.scratch_bytes = options.scratch;
  return std::make_unique<emulated::DeviceOps>(runtime, options.fast);
}

}  // namespace weft
