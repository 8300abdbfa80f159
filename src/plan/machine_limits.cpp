#include "plan/machine_limits.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "ops/limits.h"

namespace weft {
namespace {

/// Data sheets are of the SXM boards: dense rates, and the links' in one direction.
struct Gpu {
  std::string_view kind;
  int free_gib;  ///< of its memory, beside what driver and context take
  double read_bytes_per_second;
  double bf16_flops_per_second;
  double f32_flops_per_second;  ///< outside the tensor units: f32 weights never use TF32
  double link_bytes_per_second;
  std::string_view source;
};

constexpr std::array kGpus = {
    Gpu{"h200", 139, 4.8e12, 989e12, 67e12, 450e9,
        "H200 SXM, data sheet: memory 4.8 TB/s, bf16 989 and f32 67 TFLOP/s, NVLink 450 GB/s (of "
        "which good programs reach 4.1 TB/s and 790 TFLOP/s)"},
    Gpu{"h100", 78, 3.35e12, 989e12, 67e12, 450e9,
        "H100 SXM, data sheet: memory 3.35 TB/s, bf16 989 and f32 67 TFLOP/s, NVLink 450 GB/s"},
    Gpu{"a100", 78, 2.04e12, 312e12, 19.5e12, 300e9,
        "A100 80 GB SXM, data sheet: memory 2.04 TB/s, bf16 312 and f32 19.5 TFLOP/s, NVLink 300 "
        "GB/s"}};

const Gpu& gpu_of(std::string_view kind) {
  std::string known;
  for (const Gpu& gpu : kGpus) {
    if (gpu.kind == kind) return gpu;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", gpu.kind);
  }
  fail_user(
      "--gpu: '{}' is none of {}; give its rates with --limits and its memory with "
      "--gpu-memory",
      kind, known);
}

constexpr double kGpuCallSeconds = 10e-6;
constexpr double kCpuCallSeconds = 2e-6;

}  // namespace

MachineLimits parse_limits(std::string_view text) {
  std::array<double, 4> numbers{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto [stop, status] = std::from_chars(at, end, numbers[i], std::chars_format::fixed);
    const bool last = i + 1 == numbers.size();
    const bool ends_well = last ? stop == end : stop != end && *stop == ',';
    const bool in_range = std::isfinite(numbers[i]) && (last ? numbers[i] >= 0 : numbers[i] > 0);
    if (status != std::errc() || !ends_well || !in_range) {
      fail_user(
          "--limits: '{}' is not READ_GBS,GFLOPS,LINK_GBS,LATENCY_US of a rank, such as "
          "45,540,10,2",
          text);
    }
    at = stop + 1;
  }
  return {numbers[0] * 1e9, numbers[1] * 1e9, numbers[2] * 1e9, numbers[3] * 1e-6,
          fmt::format("--limits {}", text)};
}

MachineLimits gpu_limits(std::string_view kind, DType dtype) {
  const Gpu& gpu = gpu_of(kind);
  return {gpu.read_bytes_per_second,
          dtype == DType::bf16 ? gpu.bf16_flops_per_second : gpu.f32_flops_per_second,
          gpu.link_bytes_per_second,
          kGpuCallSeconds,
          fmt::format("{}; {:.0f} us a call, and 50 GB/s (InfiniBand NDR) between nodes, assumed",
                      gpu.source, kGpuCallSeconds * 1e6),
          50e9};
}

int gpu_free_gib(std::string_view kind) { return gpu_of(kind).free_gib; }

MachineLimits measured_limits(int threads, int ranks, Isa isa, DType dtype) {
  const CpuLimits limits = measure_cpu_limits(threads, isa);
  const double read = limits.read_bytes_per_second / ranks;
  const bool bf16 = dtype == DType::bf16;
  const double flops = (bf16 ? limits.bf16_flops_per_second : limits.flops_per_second) / ranks;
  // What travels through shared memory is read once and written once.
  return {read, flops, read / 2, kCpuCallSeconds,
          fmt::format("this machine as measured, shared by {} rank{}: read {:.1f} GB/s and {:.0f} "
                      "GFLOP/s of {} each; links of half that rate and {:.0f} us a call assumed",
                      ranks, ranks == 1 ? "" : "s", read / 1e9, flops / 1e9, bf16 ? "bf16" : "fp32",
                      kCpuCallSeconds * 1e6)};
}

}  // namespace weft
