// The GPU's operators in the emulation: for tests on machines without a GPU.
#pragma once

#include <functional>
#include <memory>

#include "cuda/gpu_ops.h"

namespace weft {

/// What GpuOps::stream stands for there: where a stand-in for a library puts its work.
class EmulatedStream {
 public:
  virtual ~EmulatedStream() = default;
  /// Does `work` now or, while work is recorded, in every replay.
  virtual void ask(std::function<void()> work) = 0;
};

/// Operators on an emulated GPU; its number says nothing. With `guarded`, host code that touches
/// device memory dies of SIGSEGV.
std::unique_ptr<GpuOps> make_emulated_ops(const GpuOptions& options, bool guarded = false);

}  // namespace weft
