// The CPU kernels for AVX-512 (F, BW, VL, DQ) and FMA. Compiled with flags of its own.
#include "ops/cpu/vec_avx512.inl"

#include "ops/cpu/kernels.inl"

namespace weft {

const CpuKernels& avx512_kernels() {
  static const CpuKernels kernels = kernel_table("avx512");
  return kernels;
}

}  // namespace weft
