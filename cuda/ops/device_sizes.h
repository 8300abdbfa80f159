// How much memory the operators of a GPU ask for: the same with and without one.
#pragma once

#include "cuda/gpu_ops.h"
#include "cuda/kernels/packing.h"
#include "ops/op_sizes.h"

namespace weft {

/// The segment tree of a matrix as the kernels work through it. Throws Error beyond kMostLeaves.
ProductLeaves product_leaves(const KCut& cut);

/// Bytes of a packed matrix.
Bytes device_matrix_bytes(const MatrixShape& shape);

/// Elements that a head takes in the cache: head_dim, for bf16 the next width that the attention
/// kernels are compiled for. Throws Error beyond the widest.
std::int64_t cache_width(std::int64_t head_dim, DType dtype);

/// Bytes of a block of the cache.
Bytes device_kv_block_bytes(std::int64_t heads, std::int64_t head_dim, std::int64_t block_tokens,
                            DType dtype);

}  // namespace weft
