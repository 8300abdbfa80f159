// The GPU's operators in the emulation: for tests on machines without a GPU.
#pragma once

#include <memory>

#include "cuda/gpu_ops.h"

namespace weft {

/// Operators on an emulated GPU; its number says nothing. With `guarded`, host code that touches
/// device memory dies of SIGSEGV.
std::unique_ptr<GpuOps> make_emulated_ops(const GpuOptions& options, bool guarded = false);

}  // namespace weft
