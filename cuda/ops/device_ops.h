// The operators over the kernels of cuda/kernels, for a GPU and for the emulation alike: compiled
// by cuda/gpu/*.cu and cuda/emulated/*.cpp.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "cuda/gpu_ops.h"
#include "cuda/kernels/attention_task.h"
#include "cuda/kernels/linear_few.h"
#include "cuda/ops/device_sampler.h"
#include "cuda/ops/device_sizes.h"
#include "cuda/ops/sampler_room.h"
#include "cuda/ops/step_recorder.h"
#include "cuda/platform/runtime.h"

namespace weft::WEFT_PLATFORM {

/// A layer's cache as kernels see it.
inline Cache device_cache(const KvLayer& cache) {
  return {cache.data,
          static_cast<std::int64_t>(cache.block_bytes),
          static_cast<std::int32_t>(cache.block_tokens),
          static_cast<std::int32_t>(cache.head_dim),
          static_cast<std::int32_t>(cache_width(cache.head_dim, cache.dtype)),
          static_cast<std::int32_t>(cache.heads)};
}

class DeviceOps final : public GpuOps {
 public:
  DeviceOps(const RuntimeOptions& options, const GpuOptions& gpu)
      : runtime_(options),
        most_graphs_(gpu.graphs ? gpu.most_graphs : 0),
        products_(runtime_.blas_products()),
        description_(runtime_.description()) {
    if (gpu.sampling) sampler_.emplace(runtime_, *this);
  }

  Memory& memory() override { return runtime_.memory(); }
  Memory& host_memory() override { return runtime_.host_memory(); }
  [[nodiscard]] std::string_view description() const override { return description_; }
  [[nodiscard]] bool owns(std::span<const std::byte> bytes) const override {
    return runtime_.owns(bytes);
  }
  [[nodiscard]] void* stream() const override { return runtime_.stream(); }
  void wait() override { runtime_.wait(); }

  [[nodiscard]] bool recording() const override { return runtime_.recording(); }
  void note_recorded(const void* owner, std::function<void()> replayed) override {
    runtime_.note_foreign();
    replay_calls_.add(owner, std::move(replayed));
  }

  DeviceClock* clock() override { return &runtime_.clock(); }
  RowSampler* sampler() override { return sampler_ ? &*sampler_ : nullptr; }

  std::unique_ptr<Recorder> make_recorder() override {
    if (most_graphs_ == 0) return GpuOps::make_recorder();
    return std::make_unique<StepRecorder>(runtime_, replay_calls_, most_graphs_);
  }
  [[nodiscard]] Bytes recorder_bytes(std::int64_t sublayers) const override {
    return device_recorder_bytes(sublayers, most_graphs_);
  }

  [[nodiscard]] Bytes workspace_bytes(std::int64_t max_rows, std::int64_t max_columns,
                                      std::int64_t head_dim) const override;
  void reserve_workspace(std::int64_t max_rows, std::int64_t max_columns,
                         std::int64_t head_dim) override;

  void upload(std::span<const std::byte> from, const Tensor& to) override;
  void download(const Tensor& from, std::span<std::byte> to) override;
  void copy(const Tensor& from, const Tensor& to) override;
  void clear(const Tensor& to) override;

  [[nodiscard]] Bytes matrix_bytes(const MatrixShape& shape) const override {
    return device_matrix_bytes(shape);
  }
  /// Reading and checking are what several threads are for: the device packs piece by piece.
  [[nodiscard]] int pack_threads() const override { return 4; }
  void pack(const Matrix& to, std::int64_t row0, std::int64_t col0, const Tensor& from) override;
  std::unique_ptr<Fence> make_fence() override { return runtime_.make_fence(); }
  [[nodiscard]] Bytes kv_block_bytes(std::int64_t heads, std::int64_t head_dim,
                                     std::int64_t block_tokens, DType dtype) const override {
    return device_kv_block_bytes(heads, head_dim, block_tokens, dtype);
  }

  [[nodiscard]] Bytes sampling_bytes(std::int64_t max_rows, std::int64_t columns) const override {
    return sampler_ ? SamplerRoom::of(max_rows, columns).bytes : 0;
  }

  void pack(const MatrixStack& to, std::int64_t index, std::int64_t row0, std::int64_t col0,
            const Tensor& from) override;
  void embed(const Matrix& table, const Tensor& rows, const Tensor& out) override;
  void rotary_table(const Tensor& positions, const Tensor& inverse_frequencies, float scale,
                    const Tensor& cosines, const Tensor& sines) override;
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) override;
  void linear(const Tensor& x, const Matrix& w, const Tensor& out) override;
  void finish_qkv(const Tensor& qkv, const HeadMap& heads, const QkvTail& tail,
                  const BatchView& batch, const KvLayer& cache, const Tensor& q) override;
  void read_kv(const KvLayer& cache, const Tensor& slots, const Tensor& out) override;
  void write_kv(const Tensor& from, const Tensor& slots, const KvLayer& cache) override;
  void attention(const Tensor& q, const HeadMap& heads, const BatchView& batch,
                 const KvLayer& cache, float scale, std::int64_t window,
                 const Tensor& out) override;
  void swiglu(const Tensor& gate_up, const Tensor& out) override;
  void linear_swiglu(const Tensor& x, const Matrix& gate_up, const Tensor& wide,
                     const Tensor& out) override;
  void add_tree_norm(std::span<const TreeNode> nodes, std::span<const Tensor> parts,
                     const Tensor& bias, const Tensor& residual, const NextNorm& next) override;
  void add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts, const Tensor& bias,
                const Tensor& residual) override;
  void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) override;
  void block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns) override;
  void block_weight_sums(const Tensor& logits, const Tensor& values, const WeightSumQuery& query,
                         const Tensor& weight_sums) override;
  void gather_blocks(const Tensor& x, const Tensor& rows, const Tensor& blocks,
                     const Tensor& out) override;
  void get_elements(const Tensor& x, const Tensor& rows, const Tensor& columns,
                    const Tensor& out) override;
  void put_elements(const Tensor& values, const Tensor& rows, const Tensor& columns,
                    const Tensor& x) override;

  void route(const Tensor& logits, const Tensor& slots, bool normalise, const Tensor& experts,
             const Tensor& weights, const Tensor& loads) override;
  void sort_pairs(const Tensor& experts, const Tensor& ends, const Tensor& rows,
                  const Tensor& places) override;
  void expert_linear(const Tensor& x, const Tensor& rows, const Tensor& ends, const MatrixStack& w,
                     const Tensor& out) override;
  void combine(std::span<const TreeNode> nodes, const Tensor& parts, const Tensor& rows,
               const Tensor& weights, const Tensor& out) override;
  void add_gated(const Tensor& gate, const Tensor& x, const Tensor& sum) override;

 private:
  /// Scratch memory of the size that `workspace_bytes` announces, taken at the first need.
  std::byte* scratch();

  void pack_into(std::byte* to, const ProductLeaves& leaves, std::int64_t row0, std::int64_t col0,
                 const Tensor& from);
  void move_kv(const KvLayer& cache, const Tensor& slots, const Tensor& rows, bool write);
  /// A matrix's tree, and how its elements lie.
  [[nodiscard]] ProductLeaves leaves_of(const MatrixShape& shape) const;
  void linear_bf16(const ProductTask& task);
  void linear_fast(const ProductTask& task);
  /// False where there is no room for tiles of T rows.
  template <int T>
  bool linear_tiles(const ProductTask& task);
  /// With a stack of `matrices` matrices; tiles: false where a block has not enough shared memory.
  void expert_linear_bf16(const ProductTask& task, std::int64_t matrices);
  template <int T>
  bool expert_linear_tiles(const ProductTask& task, std::int64_t matrices);
  template <int W>
  void attention_bf16(const AttentionTask<std::uint16_t>& task, std::int64_t rows,
                      std::int64_t table_width);

  Runtime runtime_;
  int most_graphs_;  ///< 0: none
  ReplayCalls replay_calls_;
  std::unique_ptr<LibraryProducts> products_;  ///< in `numerics: fast`
  std::string description_;
  std::optional<DeviceSampler> sampler_;
  Buffer scratch_;
  std::mutex packing_;
};

}  // namespace weft::WEFT_PLATFORM
