// The preconditions of the operators, written once for all implementations.
#pragma once

#include <cstdint>
#include <span>

#include "ops/ops.h"

namespace weft::checks {

// Each throws Error, naming the operator, unless shapes and types are those that ops.h states.

void copy(std::span<const std::byte> host, const Tensor& device);
void pack(const Matrix& to, std::int64_t row0, std::int64_t col0, const Tensor& from);
void kv_page(std::int64_t heads, std::int64_t head_dim, std::int64_t page_tokens, DType dtype);
void embed(const Matrix& table, const Tensor& rows, const Tensor& out);
void rotary_table(const Tensor& positions, const Tensor& inverse_frequencies, const Tensor& cosines,
                  const Tensor& sines);
void rms_norm(const Tensor& x, const Tensor& weight, const Tensor& out);
void linear(const Tensor& x, const Matrix& w, const Tensor& out);
void finish_qkv(const Tensor& qkv, const HeadMap& heads, const QkvTail& tail,
                const BatchView& batch, const KvLayer& cache, const Tensor& q);
void attention(const Tensor& q, const HeadMap& heads, const BatchView& batch, const KvLayer& cache,
               std::int64_t window, const Tensor& out);
void swiglu(const Tensor& gate_up, const Tensor& out);
void add_tree(std::span<const TreeNode> nodes, std::span<const Tensor> parts, const Tensor& bias,
              const Tensor& residual);
void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out);
void block_maxima(const Tensor& logits, const Tensor& values, const Tensor& columns);

}  // namespace weft::checks
