// The GPU's operators in the emulation: for tests on machines without a GPU.
#pragma once

#include <memory>

#include "cuda/gpu_ops.h"

namespace weft {

/// How the emulated GPU is.
struct EmulationOptions {
  bool guarded = false;     ///< host code that touches device memory dies of SIGSEGV
  int multiprocessors = 4;  ///< decides between kernels, not bits
  bool fast = false;        ///< `numerics: fast`
  Bytes scratch = Bytes{8} << 20;
};

std::unique_ptr<GpuOps> make_emulated_ops(const EmulationOptions& options = {});

}  // namespace weft
