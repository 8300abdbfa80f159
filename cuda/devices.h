// What GPUs this process can use.
#pragma once

#include <string>
#include <vector>

#include "base/types.h"

namespace weft {

/// One visible GPU.
struct GpuDevice {
  std::string name;  ///< "NVIDIA H200"
  std::string uuid;  ///< "GPU-…", to notice ranks that share a device
  int major = 0;     ///< compute capability
  int minor = 0;
  Bytes memory = 0;
};

/// Whether the program was built with the CUDA toolkit, and with which release: "13.0", or empty.
std::string cuda_toolkit();

/// Memory of a visible GPU that nobody has taken.
Bytes gpu_free_memory(int device);

/// The visible GPUs, by device number; none without a GPU, a driver, or CUDA in the build. Throws
/// UserError with the cause where there is a GPU and it cannot be used.
std::vector<GpuDevice> gpu_devices();

}  // namespace weft
