// Which kernels an x86-64 processor can run.
#include "ops/cpu/cpu_kernels.h"

namespace weft {
namespace {

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

}  // namespace

const CpuKernels* cpu_kernels(Isa isa) {
  switch (isa) {
    case Isa::automatic:
      if (has_avx512()) return &avx512_kernels();
      return has_avx2() ? &avx2_kernels() : &plain_kernels();
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
