// Storage of the paged key/value cache of one rank.
#pragma once

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "ops/op_sizes.h"
#include "ops/views.h"

namespace weft {

class Ops;

/// Shape of one rank's cache.
struct KvShape {
  std::int64_t layers = 0;
  std::int64_t heads = 0;  ///< KV heads of this rank
  std::int64_t head_dim = 0;
  std::int64_t block_tokens = 0;
  std::int64_t kv_blocks = 0;
  DType dtype = DType::bf16;
};

/// Bytes of one block in all layers.
Bytes kv_block_bytes(const KvShape& shape, const OpSizes& ops);

/// One buffer per layer.
class KvCache {
 public:
  KvCache(const KvShape& shape, Ops& ops);

  [[nodiscard]] const KvShape& shape() const { return shape_; }
  [[nodiscard]] KvLayer layer(std::int64_t index) const;

 private:
  KvShape shape_;
  Bytes block_bytes_;  ///< of one layer
  std::vector<Buffer> layers_;
};

}  // namespace weft
