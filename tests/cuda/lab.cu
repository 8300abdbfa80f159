// Measurements on a GPU. Every time is the median of replays of a graph in which the operator
// stands several times, each on other weights, so that no cache holds them.
#include "lab.h"

#include <cuda_runtime.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <vector>

#include "cuda/gpu_ops.h"
#include "cuda/platform/cuda_check.cuh"

namespace weft::lab {
namespace {

Buffer buffer(GpuOps& ops, std::int64_t bytes) { return {ops.memory(), static_cast<Bytes>(bytes)}; }

/// bf16 bits without pattern, NaN or infinity, between -2 and 2.
void randomise(GpuOps& ops, const Buffer& to) {
  std::vector<std::uint16_t> values(std::min<std::size_t>(to.bytes() / 2, 1U << 22U));
  std::uint64_t state = 88172645463325252ULL;
  for (auto& v : values) {
    state ^= state << 13U;
    state ^= state >> 7U;
    state ^= state << 17U;
    // A sign, 7 bits of mantissa, and an exponent from 2^-4 to 1.
    const std::uint64_t exponent = 123 + (state >> 40U) % 5;
    v = static_cast<std::uint16_t>((state & 0x807fU) | exponent << 7U);
  }
  for (Bytes at = 0; at + 2 <= to.bytes(); at += values.size() * 2) {
    const Bytes count = std::min<Bytes>(values.size() * 2, (to.bytes() - at) / 4 * 4);
    ops.upload(std::as_bytes(std::span(values)).first(count),
               Tensor(to.data() + at, DType::i32, {static_cast<std::int64_t>(count / 4)}));
  }
}

/// Microseconds of one call out of `calls` in a graph.
double microseconds(GpuOps& ops, int calls, const std::function<void(int)>& call) {
  const auto stream = static_cast<cudaStream_t>(ops.stream());
  call(0);  // takes memory and sets attributes
  ops.wait();
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t ready = nullptr;
  WEFT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < calls; ++i) call(i);
  WEFT_CUDA(cudaStreamEndCapture(stream, &graph));
  WEFT_CUDA(cudaGraphInstantiate(&ready, graph, 0));
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  WEFT_CUDA(cudaEventCreate(&begin));
  WEFT_CUDA(cudaEventCreate(&end));
  std::vector<float> times;
  for (int run = 0; run < 12; ++run) {
    WEFT_CUDA(cudaEventRecord(begin, stream));
    WEFT_CUDA(cudaGraphLaunch(ready, stream));
    WEFT_CUDA(cudaEventRecord(end, stream));
    WEFT_CUDA(cudaEventSynchronize(end));
    float time = 0;
    WEFT_CUDA(cudaEventElapsedTime(&time, begin, end));
    if (run >= 2) times.push_back(time);
  }
  std::sort(times.begin(), times.end());
  WEFT_CUDA(cudaEventDestroy(begin));
  WEFT_CUDA(cudaEventDestroy(end));
  WEFT_CUDA(cudaGraphExecDestroy(ready));
  WEFT_CUDA(cudaGraphDestroy(graph));
  return double{times[times.size() / 2]} * 1e3 / calls;
}

/// Copies of a packed matrix, together beyond all caches.
struct Weights {
  MatrixShape shape;
  std::vector<Matrix> copies;

  Weights(GpuOps& ops, std::int64_t outputs, std::int64_t k, int segments) {
    const Segments cut = Segments::cut(k, 16, segments);
    shape = {outputs, DType::bf16, KCut::of(cut, {0, cut.count()})};
    const Bytes bytes = ops.matrix_bytes(shape);
    const Bytes count = std::clamp<Bytes>((Bytes{512} << 20) / bytes, 2, 16);
    for (Bytes i = 0; i < count; ++i) {
      copies.push_back({shape, Buffer(ops.memory(), bytes)});
      randomise(ops, copies.back().storage);
    }
  }
};

void time_product(GpuOps& ops, std::string_view name, const Weights& weights, std::int64_t rows) {
  const std::int64_t k = weights.shape.columns();
  const std::int64_t n = weights.shape.rows;
  const Buffer x = buffer(ops, rows * k * 2);
  const Buffer out = buffer(ops, rows * n * 4);
  randomise(ops, x);
  const double time = microseconds(ops, static_cast<int>(weights.copies.size()), [&](int i) {
    ops.linear(x.tensor(DType::bf16, {rows, k}), weights.copies[static_cast<std::size_t>(i)],
               out.tensor(DType::f32, {1, rows, n}));
  });
  const double bytes = static_cast<double>(n) * static_cast<double>(k) * 2;
  const double flops = bytes * static_cast<double>(rows);
  fmt::print("{:>10} {:>7} {:>7} {:>7} {:>3} {:>10.2f} {:>10.2f} {:>10.1f}\n", name, rows, n, k,
             weights.shape.cut.ends.size(), time, bytes / time / 1e6, flops / time / 1e6);
}

void product_header() {
  fmt::print("{:>10} {:>7} {:>7} {:>7} {:>3} {:>10} {:>10} {:>10}\n", "product", "rows", "N", "K",
             "S", "us", "TB/s", "TFLOP/s");
}

void time_attention(GpuOps& ops, std::int64_t sequences, std::int64_t rows, std::int64_t length) {
  const HeadMap heads{32, 8, 128, [] {
                        std::vector<std::int32_t> map;
                        for (int i = 0; i < 32; ++i) map.push_back(i / 4);
                        return map;
                      }()};
  constexpr std::int64_t block_tokens = 32;
  const std::int64_t width = ceil_div(length, block_tokens);
  const Bytes kv_block = ops.kv_block_bytes(8, 128, block_tokens, DType::bf16);
  const Buffer cache(ops.memory(), kv_block * static_cast<Bytes>(sequences * width));
  randomise(ops, cache);
  const std::int64_t m = sequences * rows;
  const Buffer q = buffer(ops, m * 4096 * 2);
  const Buffer out = buffer(ops, m * 4096 * 2);
  randomise(ops, q);
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> begins = {0};
  std::vector<std::int32_t> table;
  for (std::int64_t s = 0; s < sequences; ++s) {
    for (std::int64_t r = 0; r < rows; ++r) {
      positions.push_back(static_cast<std::int32_t>(length - rows + r));
    }
    begins.push_back(static_cast<std::int32_t>(positions.size()));
    for (std::int64_t p = 0; p < width; ++p) {
      table.push_back(static_cast<std::int32_t>((p * 7919 % width) * sequences + s));
    }
  }
  const auto ints = [&](const std::vector<std::int32_t>& values) {
    Buffer to = buffer(ops, static_cast<std::int64_t>(values.size()) * 4);
    ops.upload(std::as_bytes(std::span(values)),
               to.tensor(DType::i32, {static_cast<std::int64_t>(values.size())}));
    return to;
  };
  const Buffer p = ints(positions);
  const Buffer b = ints(begins);
  const Buffer t = ints(table);
  BatchView batch;
  batch.positions = p.tensor(DType::i32, {m});
  batch.query_begin = b.tensor(DType::i32, {sequences + 1});
  batch.block_table = t.tensor(DType::i32, {sequences, width});
  const KvLayer layer{cache.data(), kv_block, block_tokens, 8, 128, DType::bf16};
  const double time = microseconds(ops, 4, [&](int) {
    ops.attention(q.tensor(DType::bf16, {m, 4096}), heads, batch, layer, 0.088F, 0,
                  out.tensor(DType::bf16, {m, 4096}));
  });
  const double bytes = static_cast<double>(kv_block) * static_cast<double>(sequences * width);
  const double seen = static_cast<double>(length) - static_cast<double>(rows - 1) / 2;
  const double flops = 4.0 * static_cast<double>(m) * 32 * 128 * seen;
  fmt::print("{:>10} {:>7} {:>7} {:>10.2f} {:>10.2f} {:>10.1f}\n", sequences, rows, length, time,
             bytes / time / 1e6, flops / time / 1e6);
}

}  // namespace

void compare_segments() {
  const auto ops = make_gpu_ops({});
  fmt::print("# products by number of segments (Qwen3-8B's o and down)\n");
  product_header();
  for (const auto& [name, n, k] : {std::tuple{"o", 4096, 4096}, {"down", 4096, 12288}}) {
    for (const int segments : {1, 2, 4, 8, 16}) {
      const Weights weights(*ops, n, k, segments);
      for (const std::int64_t rows : {1, 16, 128, 2048}) time_product(*ops, name, weights, rows);
    }
  }
}

void measure_operators() {
  const auto ops = make_gpu_ops({});
  fmt::print("# {}\n", ops->description());
  {
    const Buffer from = buffer(*ops, std::int64_t{2} << 30);
    const Buffer to = buffer(*ops, std::int64_t{2} << 30);
    const double time = microseconds(*ops, 2, [&](int) {
      ops->copy(from.tensor(DType::f32, {1 << 29}), to.tensor(DType::f32, {1 << 29}));
    });
    fmt::print("# copy: {:.2f} TB/s read and written\n", 2 * 2.147483648e9 / time / 1e6);
  }
  product_header();
  for (const auto& [name, n, k, segments] : {std::tuple{"qkv", 6144, 4096, 4},
                                             {"o", 4096, 4096, 8},
                                             {"gate_up", 24576, 4096, 4},
                                             {"down", 4096, 12288, 8},
                                             {"head", 151936, 4096, 4}}) {
    const Weights weights(*ops, n, k, segments);
    for (const std::int64_t rows : {1, 8, 16, 32, 64, 128, 512, 8192}) {
      if (n < 100000 || rows <= 64) time_product(*ops, name, weights, rows);
    }
  }
  fmt::print("# attention, 32 query and 8 KV heads of 128\n");
  fmt::print("{:>10} {:>7} {:>7} {:>10} {:>10} {:>10}\n", "sequences", "rows", "length", "us",
             "TB/s", "TFLOP/s");
  for (const auto& [sequences, rows, length] : {std::tuple{1, 1, 128},
                                                {1, 1, 1024},
                                                {1, 1, 8192},
                                                {1, 1, 32768},
                                                {16, 1, 1024},
                                                {128, 1, 256},
                                                {128, 1, 2048},
                                                {1, 512, 512},
                                                {1, 2048, 2048},
                                                {1, 8192, 8192}}) {
    time_attention(*ops, sequences, rows, length);
  }
  fmt::print("# row operators, hidden 4096, ffn 12288, us\n");
  fmt::print("{:>7} {:>10} {:>10} {:>10}\n", "rows", "rms_norm", "swiglu", "add_tree");
  for (const std::int64_t rows : {1, 16, 128, 8192}) {
    const Buffer x = buffer(*ops, rows * 4096 * 4);
    const Buffer wide = buffer(*ops, rows * 24576 * 4);
    const Buffer narrow = buffer(*ops, rows * 12288 * 2);
    const Buffer weight = buffer(*ops, 4096 * 4);
    randomise(*ops, x);
    randomise(*ops, wide);
    const Tensor residual = x.tensor(DType::f32, {rows, 4096});
    const double norm = microseconds(*ops, 8, [&](int) {
      ops->rms_norm(residual, weight.tensor(DType::f32, {4096}), 1e-6F,
                    narrow.tensor(DType::bf16, {rows, 4096}));
    });
    const double swiglu = microseconds(*ops, 8, [&](int) {
      ops->swiglu(wide.tensor(DType::f32, {rows, 24576}),
                  narrow.tensor(DType::bf16, {rows, 12288}));
    });
    const TreeNode root{3, 0};
    const Tensor part = wide.tensor(DType::f32, {rows, 4096});
    const double tree = microseconds(*ops, 8, [&](int) {
      ops->add_tree({&root, 1}, {&part, 1}, Tensor(), residual);
    });
    fmt::print("{:>7} {:>10.2f} {:>10.2f} {:>10.2f}\n", rows, norm, swiglu, tree);
  }
}

}  // namespace weft::lab
