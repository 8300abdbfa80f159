// Stands in for the CUDA backend where the toolkit is absent.
#include "cuda/devices.h"

namespace weft {

std::string cuda_toolkit() { return {}; }

std::vector<GpuDevice> gpu_devices() { return {}; }

}  // namespace weft
