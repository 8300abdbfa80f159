// Time of choosing tokens on a CPU.
//
//   bench_sampling [threads] [isa] [vocabulary]
#include <cstdlib>
#include <memory>

#include "bench/sampling_times.h"
#include "ops/make_cpu_ops.h"

int main(int argc, char** argv) {
  using namespace weft;
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  const Isa isa = isa_from_name(argc > 2 ? argv[2] : "auto");
  const std::int64_t vocab = argc > 3 ? std::atoll(argv[3]) : 151936;
  bench::print_sampling_times(*make_cpu_ops(threads, isa), vocab);
  return 0;
}
