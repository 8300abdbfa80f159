// The optimised operators for CPUs: checks, division of work among threads, scratch memory. The
// arithmetic is in the kernels of one instruction set.
#pragma once

#include <omp.h>

#include <string>
#include <vector>

#include "ops/cpu/cpu_kernels.h"
#include "ops/ops.h"

namespace weft {

class CpuOps final : public Ops {
 public:
  CpuOps(int threads, const CpuKernels& kernels);

  Memory& memory() override { return memory_; }
  [[nodiscard]] std::string_view description() const override { return description_; }
  [[nodiscard]] Bytes workspace_bytes(std::int64_t max_rows, std::int64_t max_columns,
                                      std::int64_t head_dim) const override;
  void reserve_workspace(std::int64_t max_rows, std::int64_t max_columns,
                         std::int64_t head_dim) override;

  void upload(std::span<const std::byte> from, const Tensor& to) override;
  void download(const Tensor& from, std::span<std::byte> to) override;
  void copy(const Tensor& from, const Tensor& to) override;
  void clear(const Tensor& to) override;

  [[nodiscard]] Bytes matrix_bytes(const MatrixShape& shape) const override;
  [[nodiscard]] int pack_threads() const override { return threads_; }
  void pack(const Matrix& to, std::int64_t row0, std::int64_t col0, const Tensor& from) override;
  void pack(const MatrixStack& to, std::int64_t index, std::int64_t row0, std::int64_t col0,
            const Tensor& from) override;
  [[nodiscard]] Bytes kv_block_bytes(std::int64_t heads, std::int64_t head_dim,
                                     std::int64_t block_tokens, DType dtype) const override;

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
  void add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts, const Tensor& bias,
                const Tensor& residual) override;
  void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) override;
  void route(const Tensor& logits, const Tensor& slots, bool normalise, const Tensor& experts,
             const Tensor& weights, const Tensor& loads) override;
  void sort_pairs(const Tensor& experts, const Tensor& ends, const Tensor& rows,
                  const Tensor& places) override;
  void expert_linear(const Tensor& x, const Tensor& rows, const Tensor& ends, const MatrixStack& w,
                     const Tensor& out) override;
  void combine(std::span<const TreeNode> nodes, const Tensor& parts, const Tensor& rows,
               const Tensor& weights, const Tensor& out) override;
  void add_gated(const Tensor& gate, const Tensor& x, const Tensor& sum) override;
  void block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns) override;
  void block_weight_sums(const Tensor& logits, const Tensor& values, const WeightSumQuery& query,
                         const Tensor& weight_sums) override;
  void gather_blocks(const Tensor& x, const Tensor& rows, const Tensor& blocks,
                     const Tensor& out) override;
  void get_elements(const Tensor& x, const Tensor& rows, const Tensor& columns,
                    const Tensor& out) override;
  void put_elements(const Tensor& values, const Tensor& rows, const Tensor& columns,
                    const Tensor& x) override;

 private:
  /// Calls f(thread, range) for contiguous ranges that make up [0, items): from all threads, or
  /// from the caller alone when `work` (operations, roughly) does not repay waking them.
  template <class F>
  void spread(std::int64_t items, std::int64_t work, F f) const {
    if (items <= 0) return;
    if (threads_ == 1 || items == 1 || work < kSerialWork) return f(0, Range{0, items});
      // Always the whole team: asking for a smaller one would make OpenMP end the other threads.
#pragma omp parallel num_threads(threads_)
    {
      const std::int64_t team = omp_get_num_threads();
      const std::int64_t me = omp_get_thread_num();
      const Range mine{items * me / team, items * (me + 1) / team};
      if (!mine.empty()) f(static_cast<int>(me), mine);
    }
  }

  /// Scratch memory of at least that many floats; its contents are lost when it grows.
  float* workspace(std::int64_t floats);

  void pack_into(std::byte* to, const MatrixShape& shape, std::int64_t row0, std::int64_t col0,
                 const Tensor& from) const;
  void linear_pass(const Tensor& x, const Matrix& w, const std::vector<LinearLeaf>& leaves,
                   std::int64_t node_stride, float* out);

  /// Consecutive pairs of one expert, part of one pass.
  struct ExpertRun {
    std::int64_t expert = 0;
    Range pairs;
  };
  void expert_pass(const Tensor& x, const std::int32_t* rows, const MatrixStack& w,
                   std::int64_t pairs, float* out);

  static constexpr std::int64_t kSerialWork = 1 << 15;

  HostMemory memory_;
  Buffer workspace_;
  int threads_;
  const CpuKernels& kernels_;
  std::string description_;
  std::vector<LinearLeaf> leaves_;        // of the present product
  std::vector<ExpertRun> runs_;           // of the present pass over experts
  std::vector<AttentionTask> attention_;  // of the present batch
};

}  // namespace weft
