// On processors other than x86-64 there are the plain kernels only.
#include "ops/cpu/cpu_kernels.h"

namespace weft {

const CpuKernels* cpu_kernels(Isa isa) {
  return isa == Isa::automatic || isa == Isa::plain ? &plain_kernels() : nullptr;
}

}  // namespace weft
