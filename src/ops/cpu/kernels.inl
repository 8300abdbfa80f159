// All kernels over the vector type Vec, which the including file has defined.
#include "ops/cpu/cpu_kernels.h"

// The common parts come before their users.
#include "ops/cpu/tile.inl"

#include "ops/cpu/attention.inl"
#include "ops/cpu/experts.inl"
#include "ops/cpu/limits.inl"
#include "ops/cpu/linear.inl"
#include "ops/cpu/logits.inl"
#include "ops/cpu/panels.inl"
#include "ops/cpu/rows.inl"

namespace weft {
namespace {

CpuKernels kernel_table(const char* name) {
  return {name,       kTileRows, pack_panels, pack,     linear,       rms_norm,
          finish_qkv, attention, swiglu,      add_tree, block_maxima, block_weight_sums,
          route,      combine,   add_gated,   spin_fma};
}

}  // namespace
}  // namespace weft
