// Which of the kernels an x86-64 processor can run.
#include "base/xxh3/xxh3.h"

namespace weft::xxh3 {

Kernel fastest_kernel() {
  if (__builtin_cpu_supports("avx512f")) return hash_avx512;
  return __builtin_cpu_supports("avx2") ? hash_avx2 : hash_baseline;
}

}  // namespace weft::xxh3
