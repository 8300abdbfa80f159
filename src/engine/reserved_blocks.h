// Blocks that running sequences are about to compute, and the sequences that wait for them.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "cache/block_pool.h"

namespace weft {

/// Of one block pool. Several sequences may promise a block of the same hash.
class ReservedBlocks {
 public:
  void promise(const BlockHash& hash);
  [[nodiscard]] bool has(const BlockHash& hash) const { return kv_blocks_.contains(hash); }

  /// Notes that a sequence waits for a promised block; throws Error when nobody promised it.
  void await(const BlockHash& hash, std::int64_t sequence);

  /// One promise is kept or withdrawn. Gives everyone who waited for the block, in the order in
  /// which they came; whoever still wants to wait must say so again. Throws Error when nobody
  /// promised it.
  std::vector<std::int64_t> settle(const BlockHash& hash);

  [[nodiscard]] bool empty() const { return kv_blocks_.empty(); }

 private:
  struct KvBlock {
    std::int64_t promises = 0;
    std::vector<std::int64_t> waiting;
  };
  std::unordered_map<BlockHash, KvBlock, BlockHashBits> kv_blocks_;
};

}  // namespace weft
