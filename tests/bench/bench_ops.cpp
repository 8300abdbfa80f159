// Speed of the CPU operators beside this machine's limits.
//
//   bench_ops [threads] [isa]
//
// Prints medians over repetitions: GB/s of weights or cache read, GFLOP/s (a multiply-add is two).
// "read" is what the same threads read from memory with plain loads; "fma" what they reach with
// register-only multiply-adds. Both limits are measured anew before each group, since other
// programs may share the machine.
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "ops/make_cpu_ops.h"
#include "ops/ops.h"

using namespace weft;

namespace {

double seconds_of(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Median time of one call, after one call to warm up.
double median(const std::function<void()>& run, double budget = 0.5) {
  const double first = std::max(seconds_of(run), 1e-7);
  const int count = std::clamp(static_cast<int>(budget / first), 3, 101);
  std::vector<double> times;
  for (int i = 0; i < count; ++i) times.push_back(seconds_of(run));
  std::nth_element(times.begin(), times.begin() + count / 2, times.end());
  return times[static_cast<std::size_t>(count / 2)];
}

/// Bytes per second that `threads` threads read from memory.
double read_limit(const Buffer& buffer, int threads) {
  const auto words = static_cast<std::int64_t>(buffer.bytes() / 8);
  const auto* const data = reinterpret_cast<const std::uint64_t*>(buffer.data());
  volatile std::uint64_t sink = 0;
  const double time = median([&] {
    std::uint64_t sum = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : sum) schedule(static)
    for (std::int64_t i = 0; i < words; i += 32) {
      __builtin_prefetch(data + i + 2048);
      __builtin_prefetch(data + i + 2056);
      __builtin_prefetch(data + i + 2064);
      __builtin_prefetch(data + i + 2072);
      for (std::int64_t j = 0; j < 32; ++j) sum += data[i + j];
    }
    sink = sum;
  });
  return static_cast<double>(words * 8) / time;
}

#if defined(__x86_64__)
using Wide = float __attribute__((vector_size(64)));
__attribute__((target("avx512f,fma"), optimize("fp-contract=fast"))) float fma_run(std::int64_t n) {
  Wide sums[16] = {};
  Wide a = sums[0] + 0.5F;
  for (int j = 0; j < 16; ++j) asm volatile("" : "+v"(sums[j]), "+v"(a));  // nothing is known
  for (std::int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) sums[j] = sums[j] * a + a;
  }
  Wide total = sums[0];
  for (int j = 1; j < 16; ++j) total += sums[j];
  return total[0];
}
bool can_measure_fma() { return __builtin_cpu_supports("avx512f"); }
#else
float fma_run(std::int64_t) { return 0; }
bool can_measure_fma() { return false; }
#endif

/// Operations per second of `threads` threads; 0 when this program cannot tell.
double fma_limit(int threads) {
  if (!can_measure_fma()) return 0;
  constexpr std::int64_t n = 1000000;
  volatile float sink = 0;
  const double time = median([&] {
#pragma omp parallel num_threads(threads)
    {
      const float result = fma_run(n);
      if (result == 1) sink = result;
    }
  });
  return static_cast<double>(n) * 16 * 16 * 2 * threads / time;
}

class Bench {
 public:
  Bench(int threads, Isa isa)
      : threads_(threads), ops_(make_cpu_ops(threads, isa)), large_(ops_->memory(), kLargeBytes) {
    std::memset(large_.data(), 1, large_.bytes());  // untouched memory is not memory
  }

  void run() {
    fmt::print("{}\n", ops_->description());
    for (const DType dtype : {DType::bf16, DType::f32}) {
      limits();
      for (const std::int64_t rows : {1, 2, 4, 8, 16, 32, 64, 512}) product(rows, dtype);
    }
    limits();
    for (const std::int64_t context : {512, 4096}) {
      attend(1, context, 16, 8);
      attend(512, context, 16, 8);
    }
    row_operators();
  }

 private:
  void limits() {
    read_ = read_limit(large_, threads_);
    fma_ = fma_limit(threads_);
    fmt::print("limits: read {:.1f} GB/s, fma {:.0f} GFLOP/s\n", read_ / 1e9, fma_ / 1e9);
  }

  void report(const std::string& what, double time, double bytes, double flops) const {
    fmt::print("{:<44}{:>10.1f} us{:>8.1f} GB/s ({:>3.0f} %){:>8.0f} GFLOP/s", what, time * 1e6,
               bytes / time / 1e9, 100 * bytes / time / read_, flops / time / 1e9);
    if (fma_ > 0) fmt::print(" ({:>3.0f} %)", 100 * flops / time / fma_);
    fmt::print("\n");
    std::fflush(stdout);
  }

  Tensor make(std::vector<Buffer>& keep, DType dtype, std::initializer_list<std::int64_t> shape) {
    keep.emplace_back(ops_->memory(), Tensor(nullptr, dtype, shape).bytes());
    const Tensor t = keep.back().tensor(dtype, shape);
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (std::int64_t i = 0; i < t.elements(); ++i) {
      if (dtype == DType::f32) t.as<float>()[i] = uniform(random);
      if (dtype == DType::bf16) t.as<std::uint16_t>()[i] = bf16_from_f32(uniform(random));
    }
    return t;
  }

  /// Several matrices in turn, together larger than the caches.
  void product(std::int64_t rows, DType dtype) {
    constexpr std::int64_t k = 2048;
    constexpr std::int64_t n = 4096;
    const std::size_t count = 128 / size_of(dtype);  // 1 GiB
    std::vector<Buffer> keep;
    const Tensor x = make(keep, dtype, {rows, k});
    const Tensor out = make(keep, DType::f32, {1, rows, n});
    if (matrices_.empty() || matrices_[0].shape.dtype != dtype) {
      matrices_.clear();
      for (std::size_t i = 0; i < count; ++i) {
        Matrix w;
        w.shape = {n, dtype, KCut::of(Segments::cut(k, 16, 4), {0, 4})};
        w.storage = Buffer(ops_->memory(), ops_->matrix_bytes(w.shape));
        const Buffer values(ops_->memory(), static_cast<Bytes>(32 * k) * size_of(dtype));
        for (std::int64_t r = 0; r < n; r += 32) {
          ops_->pack(w, r, 0, values.tensor(dtype, {32, k}));
        }
        matrices_.push_back(std::move(w));
      }
    }
    const std::size_t used = rows > 64 ? 2 : count / (rows > 8 ? 4 : 1);
    const double time = median([&] {
      for (std::size_t i = 0; i < used; ++i) ops_->linear(x, matrices_[i], out);
    });
    const double products = static_cast<double>(used) * static_cast<double>(n * k);
    report(fmt::format("linear {} M={} N={} K={}", name(dtype), rows, n, k), time,
           products * static_cast<double>(size_of(dtype)),
           products * 2 * static_cast<double>(rows));
  }

  void attend(std::int64_t rows, std::int64_t context, std::int64_t heads, std::int64_t kv_heads) {
    constexpr std::int64_t dim = 128;
    constexpr std::int64_t kv_block = 32;
    const DType dtype = DType::bf16;
    HeadMap map{heads, kv_heads, dim, {}};
    for (std::int64_t h = 0; h < heads; ++h) {
      map.kv_head_of.push_back(static_cast<std::int32_t>(h * kv_heads / heads));
    }
    std::vector<Buffer> keep;
    const std::int64_t kv_blocks = context / kv_block;
    // Several layers in turn, so that caches are cold as in a real step.
    const std::int64_t layers = rows == 1 ? 64 : 2;
    const Bytes block_bytes = ops_->kv_block_bytes(kv_heads, dim, kv_block, dtype);
    const Tensor storage =
        make(keep, dtype, {layers, kv_blocks, static_cast<std::int64_t>(block_bytes / 2)});
    const Tensor q = make(keep, dtype, {rows, heads * dim});
    const Tensor out = make(keep, dtype, {rows, heads * dim});
    BatchView batch;
    batch.positions = make(keep, DType::i32, {rows});
    batch.query_begin = make(keep, DType::i32, {2});
    batch.block_table = make(keep, DType::i32, {1, kv_blocks});
    for (std::int64_t m = 0; m < rows; ++m) {
      batch.positions.as<std::int32_t>()[m] = static_cast<std::int32_t>(context - rows + m);
    }
    batch.query_begin.as<std::int32_t>()[1] = static_cast<std::int32_t>(rows);
    for (std::int64_t p = 0; p < kv_blocks; ++p) {
      batch.block_table.as<std::int32_t>()[p] = static_cast<std::int32_t>(p);
    }
    const double time = median([&] {
      for (std::int64_t i = 0; i < layers; ++i) {
        const KvLayer cache{
            storage.slice(i, i + 1).data(), block_bytes, kv_block, kv_heads, dim, dtype};
        ops_->attention(q, map, batch, cache, 0.088F, 0, out);
      }
    });
    const double keys = static_cast<double>(rows) * static_cast<double>(context) -
                        static_cast<double>(rows) * static_cast<double>(rows - 1) / 2;
    report(fmt::format("attention M={} context={} heads {}/{}", rows, context, heads, kv_heads),
           time, static_cast<double>(layers * kv_blocks) * static_cast<double>(block_bytes),
           static_cast<double>(layers) * keys * 4 * static_cast<double>(heads * dim));
  }

  void row_operators() {
    constexpr std::int64_t hidden = 2048;
    for (const std::int64_t rows : {1, 512}) {
      std::vector<Buffer> keep;
      const Tensor x = make(keep, DType::f32, {rows, hidden});
      const Tensor wide = make(keep, DType::f32, {rows, 2 * hidden});
      const Tensor weight = make(keep, DType::f32, {hidden});
      const Tensor out = make(keep, DType::bf16, {rows, hidden});
      const auto bytes = static_cast<double>(x.bytes());
      report(fmt::format("rms_norm M={} H={}", rows, hidden),
             median([&] { ops_->rms_norm(x, weight, 1e-6F, out); }), 1.5 * bytes, 0);
      report(fmt::format("swiglu M={} F={}", rows, hidden),
             median([&] { ops_->swiglu(wide, out); }), 2.5 * bytes, 0);
      const TreeNode root{2, 0};
      const Tensor residual = make(keep, DType::f32, {rows, hidden});
      report(fmt::format("add_tree M={} N={}", rows, hidden), median([&] {
               ops_->add_tree({&root, 1}, {&x, 1}, Tensor(), residual);
             }),
             3 * bytes, 0);
      const Tensor cosines = make(keep, DType::f32, {rows, 64});
      const Tensor sines = make(keep, DType::f32, {rows, 64});
      const Tensor positions = make(keep, DType::i32, {rows});
      const Tensor frequencies = make(keep, DType::f32, {64});
      report(fmt::format("rotary_table M={} head_dim=128", rows),
             median([&] { ops_->rotary_table(positions, frequencies, 1, cosines, sines); }), 0, 0);
      HeadMap map{16, 8, 128, std::vector<std::int32_t>(16, 0)};
      const Tensor qkv = make(keep, DType::f32, {rows, 32 * 128});
      const Tensor q = make(keep, DType::bf16, {rows, 16 * 128});
      const Bytes block_bytes = ops_->kv_block_bytes(8, 128, 32, DType::bf16);
      const Tensor storage =
          make(keep, DType::bf16, {16, static_cast<std::int64_t>(block_bytes / 2)});
      QkvTail tail;
      tail.cosines = cosines;
      tail.sines = sines;
      tail.q_norm = tail.k_norm = Tensor(weight.data(), DType::f32, {128});
      BatchView batch;
      batch.slots = make(keep, DType::i32, {rows});
      for (std::int64_t m = 0; m < rows; ++m) {
        batch.slots.as<std::int32_t>()[m] = static_cast<std::int32_t>(m);
      }
      const KvLayer cache{storage.data(), block_bytes, 32, 8, 128, DType::bf16};
      report(fmt::format("finish_qkv M={} heads 16/8", rows),
             median([&] { ops_->finish_qkv(qkv, map, tail, batch, cache, q); }), 4 * bytes, 0);
    }
  }

  static constexpr Bytes kLargeBytes = Bytes{1} << 30;  // beyond every cache

  int threads_;
  std::unique_ptr<Ops> ops_;
  Buffer large_;
  std::vector<Matrix> matrices_;
  double read_ = 0;
  double fma_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    const int threads = argc > 1 ? std::atoi(argv[1]) : omp_get_max_threads();
    Bench(threads, argc > 2 ? isa_from_name(argv[2]) : Isa::automatic).run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_ops: {}\n", error.what());
    return 1;
  }
}
