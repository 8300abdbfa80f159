// The preconditions of the operators, written once for all implementations.
#pragma once

#include <cstdint>
#include <span>

#include "ops/matrix.h"
#include "ops/views.h"

namespace weft::checks {

// Each throws Error, naming the operator, unless shapes and types are those that ops.h states.

void copy(std::span<const std::byte> host, const Tensor& device);
void copy(const Tensor& from, const Tensor& to);
void clear(const Tensor& to);
void pack(const Matrix& to, std::int64_t row0, std::int64_t col0, const Tensor& from);
void pack(const MatrixStack& to, std::int64_t index, std::int64_t row0, std::int64_t col0,
          const Tensor& from);
void kv_block(std::int64_t heads, std::int64_t head_dim, std::int64_t block_tokens, DType dtype);
void embed(const Matrix& table, const Tensor& rows, const Tensor& out);
void rotary_table(const Tensor& positions, const Tensor& inverse_frequencies, const Tensor& cosines,
                  const Tensor& sines);
void rms_norm(const Tensor& x, const Tensor& weight, const Tensor& out);
void linear(const Tensor& x, const Matrix& w, const Tensor& out);
void finish_qkv(const Tensor& qkv, const HeadMap& heads, const QkvTail& tail,
                const BatchView& batch, const KvLayer& cache, const Tensor& q);
void kv_rows(std::string_view what, const KvLayer& cache, const Tensor& slots, const Tensor& rows);
void attention(const Tensor& q, const HeadMap& heads, const BatchView& batch, const KvLayer& cache,
               std::int64_t window, const Tensor& out);
void swiglu(const Tensor& gate_up, const Tensor& out);
void add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts, const Tensor& bias,
              const Tensor& residual);
void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out);
void route(const Tensor& logits, const Tensor& slots, const Tensor& experts, const Tensor& weights,
           const Tensor& loads);
void sort_pairs(const Tensor& experts, const Tensor& ends, const Tensor& rows,
                const Tensor& places);
/// Returns P.
std::int64_t expert_linear(const Tensor& x, const Tensor& rows, const Tensor& ends,
                           const MatrixStack& w, const Tensor& out);
/// What only those can look at who share the operators' memory: that `ends` ascend, to `pairs` at
/// most. The last of them is returned.
std::int64_t pair_ends(std::span<const std::int32_t> ends, std::int64_t pairs);
void combine(std::span<const TreeNode> nodes, const Tensor& parts, const Tensor& rows,
             const Tensor& weights, const Tensor& out);
void add_gated(const Tensor& gate, const Tensor& x, const Tensor& sum);
void block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns);
void block_weight_sums(const Tensor& logits, const Tensor& values, const WeightSumQuery& query,
                       const Tensor& weight_sums);
void gather_blocks(const Tensor& x, const Tensor& rows, const Tensor& blocks, const Tensor& out);
/// Both of get_elements and put_elements.
void elements(const Tensor& x, const Tensor& rows, const Tensor& columns, const Tensor& values);

}  // namespace weft::checks
