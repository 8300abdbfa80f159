// Which kernels an x86-64 processor can run.
#include "ops/cpu/cpu_kernels.h"

namespace weft {
namespace {

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

/// A Zen 4 multiplies and adds pairs as fast as single numbers, and other processors of AMD are
/// taken to; on an Intel Xeon they came to half the rate
/// (docs/internals/decisions/022-products-of-pairs.md).
bool has_fast_pairs() { return has_avx512_bf16() && __builtin_cpu_is("amd"); }

}  // namespace

const CpuKernels* cpu_kernels(Isa isa) {
  switch (isa) {
    case Isa::automatic:
      if (has_fast_pairs()) return &avx512_bf16_kernels();
      if (has_avx512()) return &avx512_kernels();
      return has_avx2() ? &avx2_kernels() : &plain_kernels();
    case Isa::avx512_bf16:
      return has_avx512_bf16() ? &avx512_bf16_kernels() : nullptr;
    case Isa::avx512:
      return has_avx512() ? &avx512_kernels() : nullptr;
    case Isa::avx2:
      return has_avx2() ? &avx2_kernels() : nullptr;
    case Isa::plain:
      return &plain_kernels();
  }
  return nullptr;
}

}  // namespace weft
