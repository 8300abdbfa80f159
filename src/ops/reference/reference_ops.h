// The plain twins of the CPU operators: matrices row by row, cache token by token, straight loops
// in the order of docs/numerics.md, one thread. They are slow and obvious on purpose.
#pragma once

#include <span>
#include <vector>

#include "ops/ops.h"

namespace weft {

class ReferenceOps final : public Ops {
 public:
  Memory& memory() override { return memory_; }
  [[nodiscard]] std::string_view description() const override { return "cpu reference"; }
  [[nodiscard]] Bytes workspace_bytes(std::int64_t, std::int64_t, std::int64_t) const override {
    return 0;
  }
  void reserve_workspace(std::int64_t, std::int64_t, std::int64_t) override {}

  void upload(std::span<const std::byte> from, const Tensor& to) override;
  void download(const Tensor& from, std::span<std::byte> to) override;

  [[nodiscard]] Bytes matrix_bytes(const MatrixShape& shape) const override;
  void pack(const Matrix& to, std::int64_t row0, std::int64_t col0, const Tensor& from) override;
  [[nodiscard]] Bytes kv_page_bytes(std::int64_t heads, std::int64_t head_dim,
                                    std::int64_t page_tokens, DType dtype) const override;

  void embed(const Matrix& table, const Tensor& rows, const Tensor& out) override;
  void rotary_table(const Tensor& positions, const Tensor& inverse_frequencies, float scale,
                    const Tensor& cosines, const Tensor& sines) override;
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) override;
  void linear(const Tensor& x, const Matrix& w, const Tensor& out) override;
  void finish_qkv(const Tensor& qkv, const HeadMap& heads, const QkvTail& tail,
                  const BatchView& batch, const KvLayer& cache, const Tensor& q) override;
  void attention(const Tensor& q, const HeadMap& heads, const BatchView& batch,
                 const KvLayer& cache, float scale, std::int64_t window,
                 const Tensor& out) override;
  void swiglu(const Tensor& gate_up, const Tensor& out) override;
  void add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts, const Tensor& bias,
                const Tensor& residual) override;
  void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) override;
  void block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns) override;

 private:
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

/// Where the keys [head_dim] and values [head_dim] of one token and head lie, as one-row tensors.
/// A page is [token][head][keys, values][head_dim].
Tensor key_at(const KvLayer& cache, std::int64_t page, std::int64_t offset, std::int64_t head);
Tensor value_at(const KvLayer& cache, std::int64_t page, std::int64_t offset, std::int64_t head);

}  // namespace reference
}  // namespace weft
