#include <fmt/format.h>

#include "bench/sampling_times.h"
#include "cuda/gpu_ops.h"
#include "lab.h"

namespace weft::lab {

void measure_sampling() {
  for (const bool sampling : {false, true}) {
    fmt::print("# tokens chosen {}\n", sampling ? "on the GPU" : "by the host");
    GpuOptions options;
    options.sampling = sampling;
    bench::print_sampling_times(*make_gpu_ops(options), 151936);
  }
}

}  // namespace weft::lab
