// Experiment: which forms of the tensor cores' product give the same bits. A chain of products over
// ascending K is computed by each form from the same random bf16 operands.
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/dtype.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/cuda_check.cuh"
#include "cuda/platform/lane.h"
#include "lab.h"

namespace weft::lab {
namespace {

using namespace weft::gpu;

constexpr int kOutputs = 64;
constexpr int kRows = 8;

/// Operands in device memory: weights [64, K], x [8, K], row-major.
struct Operands {
  const std::uint16_t* weights;
  const std::uint16_t* x;
  int k;
};

__device__ std::uint32_t pair(const std::uint16_t* row, int k) {
  return std::uint32_t{row[k]} | std::uint32_t{row[k + 1]} << 16U;
}

/// Form 0: the kernels' own: weights as operand a of m16n8k16.
__global__ void weights_first(Operands in, float* out) {
  const int lane = threadIdx.x % 32;
  const int tile = threadIdx.x / 32 * 16;
  const int g = lane / 4;
  const int t = lane % 4;
  float acc[4] = {};
  for (int k = 0; k < in.k; k += 16) {
    const std::uint16_t* const low = in.weights + (tile + g) * in.k + k + t * 2;
    const std::uint16_t* const high = low + 8 * in.k;
    const std::uint32_t a[4] = {pair(low, 0), pair(high, 0), pair(low, 8), pair(high, 8)};
    const std::uint16_t* const x = in.x + g * in.k + k + t * 2;
    mma(acc, a, pair(x, 0), pair(x, 8));
  }
  for (int i = 0; i < 4; ++i) out[(t * 2 + i % 2) * kOutputs + tile + g + i / 2 * 8] = acc[i];
}

/// Form 1: x as operand a (rows 8 … 15 are zeros).
__global__ void x_first(Operands in, float* out) {
  const int lane = threadIdx.x % 32;
  const int g = lane / 4;
  const int t = lane % 4;
  for (int tile = threadIdx.x / 32 * 16; tile < threadIdx.x / 32 * 16 + 16; tile += 8) {
    float acc[4] = {};
    for (int k = 0; k < in.k; k += 16) {
      const std::uint16_t* const x = in.x + g * in.k + k + t * 2;
      const std::uint32_t a[4] = {pair(x, 0), 0, pair(x, 8), 0};
      const std::uint16_t* const w = in.weights + (tile + g) * in.k + k + t * 2;
      mma(acc, a, pair(w, 0), pair(w, 8));
    }
    out[g * kOutputs + tile + t * 2] = acc[0];
    out[g * kOutputs + tile + t * 2 + 1] = acc[1];
  }
}

/// Form 2: two products of half the depth, m16n8k8.
__global__ void half_depth(Operands in, float* out) {
  const int lane = threadIdx.x % 32;
  const int tile = threadIdx.x / 32 * 16;
  const int g = lane / 4;
  const int t = lane % 4;
  float acc[4] = {};
  for (int k = 0; k < in.k; k += 8) {
    const std::uint16_t* const low = in.weights + (tile + g) * in.k + k + t * 2;
    const std::uint16_t* const x = in.x + g * in.k + k + t * 2;
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%0,%1,%2,%3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(pair(low, 0)), "r"(pair(low + 8 * in.k, 0)), "r"(pair(x, 0)));
  }
  for (int i = 0; i < 4; ++i) out[(t * 2 + i % 2) * kOutputs + tile + g + i / 2 * 8] = acc[i];
}

/// Form 3: wgmma m64n8k16, both operands from shared memory, one product at a time.
__global__ void warpgroup(Operands in, float* out) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  // Core matrices of 8 rows by 16 bytes, [rows / 8][2 along K].
  __shared__ __align__(128) std::uint16_t weights[kOutputs * 16];
  __shared__ __align__(128) std::uint16_t x[kRows * 16];
  const auto descriptor = [](const void* matrix) {
    const std::uint64_t address = shared_address(matrix);
    constexpr std::uint64_t along_k = 128;
    constexpr std::uint64_t along_rows = 256;
    return (address & 0x3ffffU) >> 4U | (along_k >> 4U) << 16U | (along_rows >> 4U) << 32U;
  };
  const int thread = threadIdx.x;
  float acc[4] = {};
  for (int k = 0; k < in.k; k += 16) {
    __syncthreads();
    for (int i = thread; i < kOutputs * 16; i += 128) {
      const int row = i / 16;
      const int column = i % 16;
      weights[(row / 8 * 2 + column / 8) * 64 + row % 8 * 8 + column % 8] =
          in.weights[row * in.k + k + column];
    }
    for (int i = thread; i < kRows * 16; i += 128) {
      const int row = i / 16;
      const int column = i % 16;
      x[column / 8 * 64 + row * 8 + column % 8] = in.x[row * in.k + k + column];
    }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, 1, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, %4, %5, p, 1, 1, 0, "
        "0;}"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "l"(descriptor(weights)), "l"(descriptor(x))
        : "memory");
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;"
                 : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])::"memory");
  }
  const int g = thread % 32 / 4;
  const int t = thread % 4;
  for (int i = 0; i < 4; ++i) {
    out[(t * 2 + i % 2) * kOutputs + thread / 32 * 16 + g + i / 2 * 8] = acc[i];
  }
#else
  if (threadIdx.x < kRows) out[threadIdx.x * kOutputs] = NAN;
#endif
}

/// Form 4: fused multiply-adds in f32, ascending: what a CPU computes.
__global__ void multiply_adds(Operands in, float* out) {
  for (int i = threadIdx.x; i < kRows * kOutputs; i += 128) {
    float sum = 0;
    for (int k = 0; k < in.k; ++k) {
      sum = fmaf(widen(in.x[i / kOutputs * in.k + k]), widen(in.weights[i % kOutputs * in.k + k]),
                 sum);
    }
    out[i] = sum;
  }
}

}  // namespace

void compare_variants() {
  fmt::print(
      "# forms of the product: outputs whose bits equal form 0 (mma.m16n8k16, weights first)\n");
  fmt::print("{:>8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>12}\n", "K", "spread", "x first",
             "m16n8k8", "wgmma", "fma chain", "of");
  std::mt19937_64 random(1);
  using Form = void (*)(Operands, float*);
  const Form forms[] = {weights_first, x_first, half_depth, warpgroup, multiply_adds};
  for (const int k : {16, 64, 512, 4096}) {
    for (const int spread : {0, 8, 20}) {
      const auto fill = [&](std::size_t count) {
        std::vector<std::uint16_t> values(count);
        std::uniform_real_distribution<float> mantissa(-2, 2);
        std::uniform_int_distribution<int> exponent(-spread, spread);
        for (auto& v : values) v = bf16_from_f32(std::ldexp(mantissa(random), exponent(random)));
        return values;
      };
      const auto weights = fill(static_cast<std::size_t>(kOutputs * k));
      const auto x = fill(static_cast<std::size_t>(kRows * k));
      std::uint16_t* device = nullptr;
      float* out = nullptr;
      WEFT_CUDA(cudaMalloc(&device, (weights.size() + x.size()) * 2));
      WEFT_CUDA(cudaMalloc(&out, kRows * kOutputs * 4));
      WEFT_CUDA(cudaMemcpy(device, weights.data(), weights.size() * 2, cudaMemcpyHostToDevice));
      WEFT_CUDA(
          cudaMemcpy(device + weights.size(), x.data(), x.size() * 2, cudaMemcpyHostToDevice));
      std::vector<std::vector<float>> results;
      for (const Form form : forms) {
        WEFT_CUDA(cudaMemset(out, 0xff, kRows * kOutputs * 4));
        form<<<1, 128>>>({device, device + weights.size(), k}, out);
        WEFT_CUDA(cudaGetLastError());
        results.emplace_back(kRows * kOutputs);
        WEFT_CUDA(
            cudaMemcpy(results.back().data(), out, kRows * kOutputs * 4, cudaMemcpyDeviceToHost));
      }
      fmt::print("{:>8} {:>10}", k, spread);
      for (std::size_t form = 1; form < results.size(); ++form) {
        int equal = 0;
        for (std::size_t i = 0; i < results[0].size(); ++i) {
          equal += std::memcmp(&results[form][i], &results[0][i], 4) == 0 ? 1 : 0;
        }
        fmt::print(" {:>10}", equal);
      }
      fmt::print(" {:>12}\n", kRows * kOutputs);
      WEFT_CUDA(cudaFree(device));
      WEFT_CUDA(cudaFree(out));
    }
  }
}

}  // namespace weft::lab
