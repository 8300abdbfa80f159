// The reference implementations of the CPU operators: matrices row by row, cache token by token,
// straight loops in the order of docs/internals/numerics.md, one thread. They are slow and obvious
// on purpose.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "ops/denormals.h"
#include "ops/ops.h"
#include "reference_ops/make_reference_ops.h"

namespace weft {

class ReferenceOps : public Ops {
 public:
  explicit ReferenceOps(Probabilities probabilities) : probabilities_(probabilities) {}

  Memory& memory() override { return memory_; }
  [[nodiscard]] std::string_view description() const override { return "cpu reference"; }
  [[nodiscard]] Bytes workspace_bytes(std::int64_t, std::int64_t, std::int64_t) const override {
    return 0;
  }
  void reserve_workspace(std::int64_t, std::int64_t, std::int64_t) override {}

  void upload(std::span<const std::byte> from, const Tensor& to) override;
  void download(const Tensor& from, std::span<std::byte> to) override;
  void copy(const Tensor& from, const Tensor& to) override;
  void clear(const Tensor& to) override;

  [[nodiscard]] Bytes matrix_bytes(const MatrixShape& shape) const override;
  [[nodiscard]] int pack_threads() const override { return 1; }
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
  /// Whether products of that type flush denormal numbers: those of GPUs keep them.
  [[nodiscard]] bool flushes(DType dtype) const {
    return dtype == DType::bf16 && probabilities_ == Probabilities::unrounded;
  }

  Probabilities probabilities_;
  HostMemory memory_;
};

namespace reference {

/// Element [row, column] of a bf16 or f32 tensor, widened.
float get(const Tensor& t, std::int64_t row, std::int64_t column);
/// Rounds `value` to the tensor's type.
void put(const Tensor& t, std::int64_t row, std::int64_t column, float value);

/// Sum of squares in 16 lanes, combined by halving.
float sum_of_squares(std::span<const float> x);
/// Lane j += lane j+8, then +4, +2, +1.
float sum_by_halving(std::span<float, 16> lanes);

/// `merges` times: the last two entries become their sum, left + right.
void merge(std::vector<float>& sums, int merges);

/// The straight loops over the segments of `cut` of x[0 … K-1] * w[0 … K-1] (accessors of k), and
/// their tree: its nodes, ascending. With `flush` the loops' denormal numbers are zeros.
template <class X, class W>
std::vector<float> tree_nodes(const KCut& cut, bool flush, const X& x, const W& w) {
  TreeStack tree;
  std::vector<float> sums;
  std::int64_t k = 0;
  for (std::int64_t leaf = cut.leaves.begin; leaf < cut.leaves.end; ++leaf) {
    float sum = 0;
    const std::int64_t end = cut.ends[static_cast<std::size_t>(leaf - cut.leaves.begin)];
    const std::uint64_t mode = flush ? flush_denormals() : float_mode();
    for (; k < end; ++k) sum = std::fma(x(k), w(k), sum);
    set_float_mode(mode);
    sums.push_back(sum);
    merge(sums, tree.push({0, leaf}));
  }
  return sums;
}

/// Where the keys [head_dim] and values [head_dim] of one token and head lie, as one-row tensors.
/// A block is [token][head][keys, values][head_dim].
Tensor key_at(const KvLayer& cache, std::int64_t kv_block, std::int64_t offset, std::int64_t head);
Tensor value_at(const KvLayer& cache, std::int64_t kv_block, std::int64_t offset,
                std::int64_t head);

}  // namespace reference
}  // namespace weft
