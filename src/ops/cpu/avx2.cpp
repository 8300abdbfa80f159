// The CPU kernels for AVX2 and FMA. Compiled with flags of its own.
#include "ops/cpu/vec_avx2.inl"

#include "ops/cpu/kernels.inl"

namespace weft {

const CpuKernels& avx2_kernels() {
  static const CpuKernels kernels = kernel_table("avx2");
  return kernels;
}

}  // namespace weft
