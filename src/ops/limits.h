// What this machine can do at most, measured: the yardstick of every benchmark.
#pragma once

#include "ops/isa.h"

namespace weft {

/// Rates of `threads` threads together: the best of several runs, and of several ways to read.
struct CpuLimits {
  double read_bytes_per_second = 0;  ///< from memory, of an array beyond all caches
  double new_bytes_per_second = 0;   ///< of memory that is new to the process, when it is filled
  double flops_per_second = 0;       ///< fp32 multiply-adds from registers, two operations each
  double bf16_flops_per_second = 0;  ///< the same as products of bf16 do them
};

/// Takes about two seconds and 1 GiB of memory. Throws UserError when the processor lacks `isa`.
CpuLimits measure_cpu_limits(int threads, Isa isa);

}  // namespace weft
