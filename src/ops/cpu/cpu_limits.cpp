#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "ops/cpu/cpu_kernels.h"
#include "ops/limits.h"

namespace weft {
namespace {

constexpr Bytes kReadBytes = Bytes{1} << 30;
constexpr Bytes kFillBytes = Bytes{2} << 20;
constexpr std::int64_t kSpinRounds = 2000000;
constexpr int kRuns = 5;

/// The shortest time of a few runs, after one to warm up: what disturbs a run is no limit.
template <class F>
double least_seconds(F run) {
  run();
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kRuns; ++i) {
    const Stopwatch watch;
    run();
    least = std::min(least, watch.seconds());
  }
  return least;
}

/// How a thread goes through its part of an array.
struct ReadPattern {
  std::int64_t streams;  ///< runs of equal length that it reads side by side
  std::int64_t ahead;    ///< bytes between what is read and what is prefetched; 0: no prefetch
};
// Which of them is fastest depends on the processor, by a factor of two.
constexpr ReadPattern kPatterns[] = {{1, 0}, {1, 16384}, {4, 0}, {4, 4096}, {8, 2048}};

/// `count` is a multiple of 32 times the streams and threads, or the rest is left out.
std::uint64_t read_all(const std::uint64_t* words, std::int64_t count, int threads,
                       const ReadPattern& pattern) {
  constexpr std::int64_t kStep = 32;  // 256 bytes, four lines
  const std::int64_t own = count / threads / pattern.streams / kStep * kStep;  // of a stream
  const auto word_size = static_cast<std::int64_t>(sizeof(std::uint64_t));
  const std::int64_t ahead = pattern.ahead / word_size;
  std::uint64_t sum = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : sum) schedule(static)
  for (int thread = 0; thread < threads; ++thread) {
    const std::uint64_t* const begin = words + thread * pattern.streams * own;
    for (std::int64_t i = 0; i < own; i += kStep) {
      for (std::int64_t stream = 0; stream < pattern.streams; ++stream) {
        const std::uint64_t* const step = begin + stream * own + i;
        if (ahead > 0) {
          for (std::int64_t line = 0; line < kStep; line += 8) {
            __builtin_prefetch(step + ahead + line);
          }
        }
        for (std::int64_t j = 0; j < kStep; ++j) sum += step[j];
      }
    }
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
  const auto rate_of = [&](float (*spin)(std::int64_t, float)) {
    const double seconds = least_seconds([&] {
      double sum = 0;
#pragma omp parallel num_threads(threads) reduction(+ : sum)
      sum += static_cast<double>(spin(kSpinRounds, seed));
      sink = sum;
    });
    constexpr double kFlops = 2.0 * 16 * kSpinChains * kSpinRounds;
    return kFlops * threads / seconds;
  };
  limits.flops_per_second = rate_of(kernels->spin_fma);
  limits.bf16_flops_per_second =
      kernels->spin_pairs == nullptr ? limits.flops_per_second : 2 * rate_of(kernels->spin_pairs);

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
  for (const ReadPattern& pattern : kPatterns) {
    const double seconds = least_seconds(
        [&] { sink = static_cast<double>(read_all(words, count, threads, pattern)); });
    limits.read_bytes_per_second =
        std::max(limits.read_bytes_per_second, static_cast<double>(kReadBytes) / seconds);
  }
  return limits;
}

}  // namespace weft
