#include "cache/kv_cache.h"
#include "ops/op_sizes.h"
#include "ops/ops.h"

namespace weft {
namespace {

Bytes layer_block_bytes(const KvShape& shape, const OpSizes& ops) {
  return ops.kv_block_bytes(shape.heads, shape.head_dim, shape.block_tokens, shape.dtype);
}

}  // namespace

Bytes kv_block_bytes(const KvShape& shape, const OpSizes& ops) {
  return static_cast<Bytes>(shape.layers) * layer_block_bytes(shape, ops);
}

KvCache::KvCache(const KvShape& shape, Ops& ops)
    : shape_(shape), block_bytes_(layer_block_bytes(shape, ops)) {
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    layers_.emplace_back(ops.memory(), static_cast<Bytes>(shape.kv_blocks) * block_bytes_);
  }
}

KvLayer KvCache::layer(std::int64_t index) const {
  return {layers_[static_cast<std::size_t>(index)].data(),
          block_bytes_,
          shape_.block_tokens,
          shape_.heads,
          shape_.head_dim,
          shape_.dtype};
}

}  // namespace weft
