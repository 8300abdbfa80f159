// The CPU kernels for AVX-512 (F, BW, VL, DQ) and FMA. Compiled with flags of its own.
#include "ops/cpu/cpu_kernels.h"
#include "ops/cpu/vec_avx512.inl"
//
#include "ops/cpu/tile.inl"
//
#include "ops/cpu/linear.inl"
#include "ops/cpu/rows.inl"
//
#include "ops/cpu/attention.inl"

namespace weft {

const CpuKernels& avx512_kernels() {
  static const CpuKernels kernels = {"avx512",   kTileRows, pack,   linear,   rms_norm,
                                     finish_qkv, attention, swiglu, add_tree, block_maxima};
  return kernels;
}

}  // namespace weft
