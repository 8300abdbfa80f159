#include "ops/cpu/cpu_ops.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "base/elementary.h"
#include "ops/checks.h"
#include "ops/make_cpu_ops.h"

namespace weft {
namespace {

bool is_bf16(DType dtype) { return dtype == DType::bf16; }

/// True when this thread's arithmetic keeps denormal numbers.
bool keeps_denormals() {
  volatile float small = 0x1p-120F;
  volatile float factor = 0x1p-20F;
  volatile float tiny = small * factor;
  return tiny != 0 && tiny * 0x1p20F == small;
}

const CpuKernels& kernels_for(Isa isa) {
  const CpuKernels* const kernels = cpu_kernels(isa);
  if (kernels == nullptr) fail_user("this processor has no {} instructions", name(isa));
  return *kernels;
}

}  // namespace

CpuOps::CpuOps(int threads, const CpuKernels& kernels)
    : threads_(threads),
      kernels_(kernels),
      description_(
          fmt::format("cpu {} x {} thread{}", kernels.name, threads, threads == 1 ? "" : "s")) {
  require(threads >= 1, "{} threads", threads);
  std::atomic<bool> kept = true;
#pragma omp parallel num_threads(threads_)
  if (!keeps_denormals()) kept = false;
  require(kept, "some library has switched denormal numbers off (a -ffast-math startup file?)");
}

float* CpuOps::workspace(std::int64_t floats) {
  const Bytes bytes = static_cast<Bytes>(floats) * sizeof(float);
  if (workspace_.bytes() < bytes) {
    workspace_ = Buffer();  // first the old one back, so that both never count together
    workspace_ = Buffer(memory_, bytes);
  }
  return reinterpret_cast<float*>(workspace_.data());
}

void CpuOps::upload(std::span<const std::byte> from, const Tensor& to) {
  checks::copy(from, to);
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

void CpuOps::download(const Tensor& from, std::span<std::byte> to) {
  checks::copy(to, from);
  if (!to.empty()) std::memcpy(to.data(), from.data(), to.size());
}

void CpuOps::copy(const Tensor& from, const Tensor& to) {
  checks::copy(from, to);
  if (from.elements() > 0) std::memcpy(to.data(), from.data(), from.bytes());
}

void CpuOps::clear(const Tensor& to) {
  checks::clear(to);
  if (to.elements() > 0) std::memset(to.data(), 0, to.bytes());
}

Bytes CpuOps::kv_block_bytes(std::int64_t heads, std::int64_t head_dim, std::int64_t block_tokens,
                             DType dtype) const {
  checks::kv_block(heads, head_dim, block_tokens, dtype);
  return static_cast<Bytes>(2 * heads * head_dim * block_tokens) * size_of(dtype);
}

void CpuOps::rotary_table(const Tensor& positions, const Tensor& inverse_frequencies, float scale,
                          const Tensor& cosines, const Tensor& sines) {
  checks::rotary_table(positions, inverse_frequencies, cosines, sines);
  const std::int64_t half = inverse_frequencies.elements();
  constexpr std::int64_t per_element = 100;
  spread(positions.elements(), positions.elements() * half * per_element, [&](int, Range rows) {
    for (std::int64_t m = rows.begin; m < rows.end; ++m) {
      const auto position = static_cast<float>(positions.as<std::int32_t>()[m]);
      for (std::int64_t j = 0; j < half; ++j) {
        const float angle = position * inverse_frequencies.as<float>()[j];
        cosines.as<float>()[m * cosines.row_stride() + j] =
            static_cast<float>(cos_d(angle)) * scale;
        sines.as<float>()[m * sines.row_stride() + j] = static_cast<float>(sin_d(angle)) * scale;
      }
    }
  });
}

void CpuOps::rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  checks::rms_norm(x, weight, out);
  if (x.elements() == 0) return;
  NormTask task;
  task.x = x.as<float>();
  task.x_stride = x.row_stride();
  task.weight = weight.as<float>();
  task.eps = eps;
  task.out = out.data();
  task.out_stride = out.row_stride();
  task.bf16 = is_bf16(out.dtype());
  task.columns = x.row_elements();
  spread(x.rows(), x.elements(), [&](int, Range rows) {
    NormTask mine = task;
    mine.rows = rows;
    kernels_.rms_norm(mine);
  });
}

void CpuOps::finish_qkv(const Tensor& qkv, const HeadMap& heads, const QkvTail& tail,
                        const BatchView& batch, const KvLayer& cache, const Tensor& q) {
  checks::finish_qkv(qkv, heads, tail, batch, cache, q);
  if (qkv.elements() == 0) return;
  const auto floats = [](const Tensor& t) { return t.defined() ? t.as<float>() : nullptr; };
  float* const scratch = workspace(threads_ * round_up(heads.head_dim, 16));
  FinishTask task;
  task.qkv = qkv.as<float>();
  task.qkv_stride = qkv.row_stride();
  task.query_heads = heads.query_heads;
  task.kv_heads = heads.kv_heads;
  task.head_dim = heads.head_dim;
  task.bias = floats(tail.bias);
  task.q_norm = floats(tail.q_norm);
  task.k_norm = floats(tail.k_norm);
  task.norm_eps = tail.norm_eps;
  task.cosines = floats(tail.cosines);
  task.sines = floats(tail.sines);
  task.cosine_stride = tail.cosines.row_stride();
  task.sine_stride = tail.sines.row_stride();
  task.slots = batch.slots.as<std::int32_t>();
  task.cache = cache.data;
  task.block_bytes = cache.block_bytes;
  task.block_tokens = cache.block_tokens;
  task.q = q.data();
  task.q_stride = q.row_stride();
  task.bf16 = is_bf16(q.dtype());
  spread(qkv.rows(), qkv.elements() * 4, [&](int thread, Range rows) {
    FinishTask mine = task;
    mine.rows = rows;
    mine.scratch = scratch + thread * round_up(heads.head_dim, 16);
    kernels_.finish_qkv(mine);
  });
}

void CpuOps::swiglu(const Tensor& gate_up, const Tensor& out) {
  checks::swiglu(gate_up, out);
  if (out.elements() == 0) return;
  SwigluTask task;
  task.gate_up = gate_up.as<float>();
  task.in_stride = gate_up.row_stride();
  task.out = out.data();
  task.out_stride = out.row_stride();
  task.bf16 = is_bf16(out.dtype());
  task.features = out.row_elements();
  spread(out.rows(), out.elements() * 4, [&](int, Range rows) {
    SwigluTask mine = task;
    mine.rows = rows;
    kernels_.swiglu(mine);
  });
}

void CpuOps::add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts,
                      const Tensor& bias, const Tensor& residual) {
  checks::add_tree(nodes, parts, bias, residual);
  if (residual.elements() == 0) return;
  const std::size_t count = nodes.size();
  std::vector<const float*> from(count);
  std::vector<std::int64_t> strides(count);
  std::vector<int> merges(count);
  TreeStack stack;
  for (std::size_t i = 0; i < count; ++i) {
    from[i] = parts[i].as<float>();
    strides[i] = parts[i].row_stride();
    merges[i] = stack.push(nodes[i]);
    require(stack.size() <= kMaxTreeDepth, "add_tree: a tree deeper than {}", kMaxTreeDepth);
  }
  TreeTask task;
  task.parts = from.data();
  task.strides = strides.data();
  task.merges = merges.data();
  task.count = static_cast<int>(count);
  task.bias = bias.defined() ? bias.as<float>() : nullptr;
  task.residual = residual.as<float>();
  task.residual_stride = residual.row_stride();
  task.rows = {0, residual.rows()};
  task.columns = {0, residual.row_elements()};
  // By rows when there are many, else by runs of 64 columns.
  const std::int64_t work = residual.elements() * static_cast<std::int64_t>(count);
  const bool by_rows = residual.rows() >= threads_;
  const std::int64_t runs = ceil_div(residual.row_elements(), 64);
  spread(by_rows ? residual.rows() : runs, work, [&](int, Range range) {
    TreeTask mine = task;
    if (by_rows) {
      mine.rows = range;
    } else {
      mine.columns = {range.begin * 64, std::min(range.end * 64, residual.row_elements())};
    }
    kernels_.add_tree(mine);
  });
}

void CpuOps::gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) {
  checks::gather_rows(x, rows, out);
  if (out.elements() == 0) return;
  const Bytes element = size_of(out.dtype());
  const Bytes row_bytes = static_cast<Bytes>(out.row_elements()) * element;
  spread(out.rows(), out.elements(), [&](int, Range range) {
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t row = rows.as<std::int32_t>()[i];
      if (row < 0) continue;
      std::memcpy(out.data() + static_cast<Bytes>(i * out.row_stride()) * element,
                  x.data() + static_cast<Bytes>(row * x.row_stride()) * element, row_bytes);
    }
  });
}

std::unique_ptr<Ops> make_cpu_ops(int threads, Isa isa) {
  return std::make_unique<CpuOps>(threads, kernels_for(isa));
}

}  // namespace weft
