// The CPU kernels for no instruction set in particular. Compiled with flags of its own.
#include "ops/cpu/cpu_kernels.h"
#include "ops/cpu/vec_plain.inl"
//
#include "ops/cpu/tile.inl"
//
#include "ops/cpu/linear.inl"
#include "ops/cpu/rows.inl"
//
#include "ops/cpu/attention.inl"

namespace weft {

const CpuKernels& plain_kernels() {
  static const CpuKernels kernels = {"plain",    kTileRows, pack,   linear,   rms_norm,
                                     finish_qkv, attention, swiglu, add_tree, block_maxima};
  return kernels;
}

}  // namespace weft
