// What operators are told of batches, heads and caches.
#pragma once

#include <cstdint>
#include <vector>

#include "base/dtype.h"
#include "base/tensor.h"
#include "base/types.h"

namespace weft {

/// One layer's paged key/value cache: `blocks` blocks of `page_bytes` bytes, each holding the keys
/// and values of `block_tokens` tokens (a multiple of 16) for `heads` KV heads of `head_dim`.
struct KvLayer {
  std::byte* data = nullptr;
  Bytes block_bytes = 0;
  std::int64_t block_tokens = 0;
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  DType dtype = DType::bf16;
};

/// Where the rows of a ragged batch belong. Arrays are i32 and live where the operators run.
struct BatchView {
  Tensor positions;  ///< [M] absolute position of each row in its sequence
  Tensor slots;      ///< [M] where the row's K/V go: block * block_tokens + offset; -1: nowhere
  /// [B+1] first row of each sequence. The last entry is M, or less: rows from there on belong to
  /// none, and what attention yields for them is not said.
  Tensor query_begin;
  Tensor block_table;  ///< [B, max_pages] blocks of each sequence, by position / block_tokens
};

/// Which heads a rank computes: query head `i` of the rank attends to the rank's KV head
/// `kv_head_of[i]`.
struct HeadMap {
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::vector<std::int32_t> kv_head_of;
};

/// What happens to a row of the fused q/k/v product before attention. Undefined tensors mean
/// "not in this model".
struct QkvTail {
  Tensor bias;         ///< [(query_heads + 2 * kv_heads) * head_dim] f32, added first
  Tensor q_norm;       ///< [head_dim] f32, RMSNorm weight for each query head
  Tensor k_norm;       ///< [head_dim] f32, RMSNorm weight for each key head
  float norm_eps = 0;  ///< epsilon of the two norms
  Tensor cosines;      ///< [M, head_dim/2] f32 of the rotary embedding
  Tensor sines;        ///< [M, head_dim/2] f32
};

/// The RMSNorm of a residual stream that the next sub-layer reads: `out` [M, H] w. Without `out`
/// there is none.
struct NextNorm {
  Tensor weight;  ///< [H] f32
  float eps = 0;
  Tensor out;
};

/// Which columns of rows of logits are weighed, and how. All tensors are [R].
struct WeightSumQuery {
  Tensor scales;  ///< f32, inverse temperatures; a row with 0 is passed over: its weight sums are 0
  Tensor before;  ///< f32: columns below `splits` count when their logit is above this one,
  Tensor behind;  ///< f32: the others when theirs is above this one
  Tensor splits;  ///< i32
};

}  // namespace weft
