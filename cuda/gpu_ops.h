// The operators of one GPU.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "ops/ops.h"

namespace weft {

/// Operators on a processor with memory of its own, which the host cannot touch.
class GpuOps : public Ops {
 public:
  /// Whether bytes lie in memory that `memory()` has handed out. No bytes lie there when they stand
  /// in such memory or at its end, as the rest of a buffer that is full does.
  [[nodiscard]] virtual bool owns(std::span<const std::byte> bytes) const = 0;
  /// The CUDA stream that the operators run on (a cudaStream_t); null where there is none.
  [[nodiscard]] virtual void* stream() const = 0;
  /// Returns when everything asked for so far is done. For measurements.
  virtual void wait() = 0;

  /// Whether what is asked for now is recorded, to be done in replays (ops/recorder.h). What others
  /// put on the stream is recorded, too. Copies between host and device throw Error meanwhile.
  [[nodiscard]] virtual bool recording() const = 0;
  /// For others that put work on the stream while it is recorded: `replayed` is called behind each
  /// replay of it; once, also when `owner` says so several times. The owner must outlive the
  /// recorder.
  virtual void note_recorded(const void* owner, std::function<void()> replayed) = 0;
};

/// Memory that the operators of a GPU take for themselves: partial sums of products and of
/// attention that are computed in pieces, and weights on their way into their packed form.
inline constexpr Bytes kGpuScratch = Bytes{256} << 20;

/// Which GPU, and what its operators reckon with. All but `device` and `fast` decides between
/// kernels and ways to launch them, never bits: tests make a GPU out to be a smaller or a larger
/// one.
struct GpuOptions {
  int device = 0;
  int multiprocessors = 0;  ///< 0: as many as it has
  Bytes scratch = kGpuScratch;
  Bytes shared = 0;   ///< shared memory that a block can have; 0: as much as on it
  bool fast = false;  ///< `numerics: fast`: products add in whatever order is quick
  /// Kernels begin before those in front of them have ended, on Hopper and later.
  bool early_launches = true;
  /// Steps that come again are recorded as CUDA graphs.
  bool graphs = true;
  int most_graphs = 64;  ///< of a model at a time
  bool sampling = true;  ///< tokens are chosen on the GPU, or as on CPUs by the host
};

/// Operators on a GPU, which becomes this thread's. Throws Error when the build has no CUDA or the
/// device cannot be used, and UserError when `fast` is asked for and cuBLASLt is not found.
std::unique_ptr<GpuOps> make_gpu_ops(const GpuOptions& options);

/// The sizes that such operators would tell, without a GPU: for plans.
std::unique_ptr<OpSizes> make_gpu_sizes(bool graphs = true);

}  // namespace weft
