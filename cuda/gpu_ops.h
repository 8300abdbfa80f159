// The operators of one GPU.
#pragma once

#include <memory>

#include "ops/ops.h"

namespace weft {

/// Operators on a processor with memory of its own, which the host cannot touch.
class GpuOps : public Ops {
 public:
  /// Whether an address lies in memory that `memory()` has handed out.
  [[nodiscard]] virtual bool owns(const void* address) const = 0;
  /// The CUDA stream that the operators run on (a cudaStream_t); null where there is none.
  [[nodiscard]] virtual void* stream() const = 0;
  /// Returns when everything asked for so far is done. For measurements.
  virtual void wait() = 0;
};

struct GpuOptions {
  int device = 0;
  bool fast = false;  ///< `numerics: fast`: products add in whatever order is quick
};

/// Operators on a GPU, which becomes this thread's. Throws Error when the build has no CUDA or the
/// device cannot be used, and UserError when `fast` is asked for and cuBLASLt is not found.
std::unique_ptr<GpuOps> make_gpu_ops(const GpuOptions& options);

/// The sizes that such operators would tell, without a GPU: for plans.
std::unique_ptr<OpSizes> make_gpu_sizes();

}  // namespace weft
