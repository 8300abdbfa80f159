// The CPU kernels for no instruction set in particular. Compiled with the program's flags.
#include "ops/cpu/vec_plain.inl"

#include "ops/cpu/kernels.inl"

namespace weft {

const CpuKernels& plain_kernels() {
  static const CpuKernels kernels = kernel_table("plain");
  return kernels;
}

}  // namespace weft
