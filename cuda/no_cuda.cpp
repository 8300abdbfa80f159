// Stands in for the CUDA backend where the toolkit is absent.
#include "base/error.h"
#include "cuda/devices.h"
#include "cuda/gpu_ops.h"

namespace weft {

std::string cuda_toolkit() { return {}; }

std::vector<GpuDevice> gpu_devices() { return {}; }

Bytes gpu_free_memory(int /*device*/) { return 0; }

std::unique_ptr<GpuOps> make_gpu_ops(const GpuOptions& /*options*/) {
  fail("this program was built without CUDA");
}

}  // namespace weft
