// The CPU kernels for AVX-512 with products of bf16 pairs. Compiled with flags of its own.
// clang-format off
#include "ops/cpu/vec_avx512.inl"
#include "ops/cpu/vec_pairs.inl"

#include "ops/cpu/cpu_kernels.h"

#include "ops/cpu/tile.inl"
#include "ops/cpu/linear.inl"
#include "ops/cpu/pairs.inl"
// clang-format on

namespace weft {

const CpuKernels& avx512_bf16_kernels() {
  static const CpuKernels kernels = [] {
    CpuKernels all = avx512_kernels();
    all.name = "avx512_bf16";
    all.pack_pairs = pack_pairs;
    all.linear_pairs = linear_pairs;
    all.spin_pairs = spin_pairs;
    return all;
  }();
  return kernels;
}

}  // namespace weft
