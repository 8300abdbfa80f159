// What a rank's processor and links can do at most, for predictions.
#pragma once

#include <string>
#include <string_view>

#include "base/dtype.h"
#include "ops/isa.h"

namespace weft {

/// Rates of one rank.
struct MachineLimits {
  double read_bytes_per_second = 0;     ///< from its memory
  double flops_per_second = 0;          ///< of matrix products; a multiply-add is two
  double link_bytes_per_second = 0;     ///< to other ranks, and as many from them at the same time
  double call_seconds = 0;              ///< that every operation between ranks takes besides
  std::string source;                   ///< where the numbers come from, for people
  double between_bytes_per_second = 0;  ///< of links between nodes; 0: as within
};

/// "READ_GBS,GFLOPS,LINK_GBS,LATENCY_US" of one rank, such as "45,540,10,2". Throws UserError when
/// it is anything else.
MachineLimits parse_limits(std::string_view text);

/// Limits of a GPU of a known kind ("h200", "h100", "a100") for products of `dtype`, within a node.
/// Throws UserError for others.
MachineLimits gpu_limits(std::string_view kind, DType dtype);

/// GiB that are free on an idle GPU of such a kind. Throws UserError for others.
int gpu_free_gib(std::string_view kind);

/// Measures this machine's memory and CPU with `threads` threads in all (see measure_cpu_limits)
/// and gives each of `ranks` ranks its share, for products of `dtype`. Links are assumed, not
/// measured.
MachineLimits measured_limits(int threads, int ranks, Isa isa, DType dtype);

}  // namespace weft
