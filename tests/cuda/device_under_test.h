// What the tests of the GPU's operators run on. The same tests make up two programs: one on the
// emulation, for every machine, and one on a GPU.
#pragma once

#include <memory>

#include "cuda/gpu_ops.h"

namespace weft::testing {

/// Operators of which several can exist; `variant` 0 … kVariants-1 sets what must not show: what
/// the operators take the GPU, emulated or not, to be.
inline constexpr int kVariants = 5;
GpuOptions options_of(int variant);
/// Without `sampling` they leave the choice of tokens to the host.
std::unique_ptr<GpuOps> make_device(int variant = 0, bool sampling = true);
/// In the emulation the host cannot touch the memory of these.
std::unique_ptr<GpuOps> make_device(const GpuOptions& options);

/// Operators in `numerics: fast`.
std::unique_ptr<GpuOps> make_fast_device();

/// Whether products are those of the reference implementations to the bit: the emulated unit is
/// defined so.
bool has_plain_products();

/// Prints why and ends the program with success where there is nothing to test on.
void skip_without_device();

}  // namespace weft::testing
