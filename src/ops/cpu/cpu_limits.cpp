#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "base/clock.h"
#include "base/error.h"
#include "ops/cpu/cpu_kernels.h"
#include "ops/limits.h"

namespace weft {
namespace {

constexpr Bytes kReadBytes = Bytes{1} << 30;
constexpr Bytes kFillBytes = Bytes{2} << 20;
constexpr std::int64_t kSpinRounds = 2000000;
constexpr int kRuns = 7;

/// The median time of a few runs, after one to warm up.
template <class F>
double median_seconds(F run) {
  run();
  std::array<double, kRuns> times{};
  for (double& time : times) {
    const Stopwatch watch;
    run();
    time = watch.seconds();
  }
  std::sort(times.begin(), times.end());
  return times[kRuns / 2];
}

std::uint64_t read_all(const std::uint64_t* words, std::int64_t count, int threads) {
  constexpr std::int64_t kStep = 32;  // 256 bytes, four lines, prefetched 16 KiB ahead
  std::uint64_t sum = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : sum) schedule(static)
  for (std::int64_t i = 0; i < count; i += kStep) {
    for (std::int64_t line = 0; line < kStep; line += 8) {
      __builtin_prefetch(words + i + 2048 + line);
    }
    for (std::int64_t j = 0; j < kStep; ++j) sum += words[i + j];
  }
  return sum;
}

}  // namespace

CpuLimits measure_cpu_limits(int threads, Isa isa) {
  const CpuKernels* const kernels = cpu_kernels(isa);
  if (kernels == nullptr) fail_user("this processor does not have {}", name(isa));
  CpuLimits limits;
  volatile float seed = 1;
  volatile double sink = 0;
  const double spin = median_seconds([&] {
    double sum = 0;
#pragma omp parallel num_threads(threads) reduction(+ : sum)
    sum += static_cast<double>(kernels->spin_fma(kSpinRounds, seed));
    sink = sum;
  });
  constexpr double kFlops = 2.0 * 16 * kSpinChains * kSpinRounds;
  limits.flops_per_second = kFlops * threads / spin;

  HostMemory memory;
  const Buffer buffer(memory, kReadBytes);
  // Pages that were never written are all the kernel's one page of zeros.
  const Stopwatch filling;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (Bytes at = 0; at < kReadBytes; at += kFillBytes) {
    std::memset(buffer.data() + at, 1, kFillBytes);
  }
  limits.new_bytes_per_second = static_cast<double>(kReadBytes) / filling.seconds();
  const auto* const words = reinterpret_cast<const std::uint64_t*>(buffer.data());
  const auto count = static_cast<std::int64_t>(kReadBytes / sizeof(std::uint64_t));
  const double read =
      median_seconds([&] { sink = static_cast<double>(read_all(words, count, threads)); });
  limits.read_bytes_per_second = static_cast<double>(kReadBytes) / read;
  return limits;
}

}  // namespace weft
