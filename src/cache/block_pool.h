// Bookkeeping of the blocks of a key/value cache. Knows no tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/digest.h"

namespace weft {

/// Index of a block of the cache, the same in every layer.
using BlockId = std::int32_t;

/// Names what a full block holds: its tokens and, by way of the previous block's hash, all before
/// them. Two blocks of one hash hold the same keys and values.
using BlockHash = Digest;

/// For hash tables: a digest's bits are spread evenly already.
struct BlockHashBits {
  std::size_t operator()(const BlockHash& hash) const { return static_cast<std::size_t>(hash.low); }
};

/// Hands out blocks 0 … blocks-1 to holders, of which a block may have several.
///
/// A full block may be registered under its hash. Such a block stays findable when its last holder
/// gives it back; it is then cached, and evicted when blocks are needed, least recently held first.
/// Of the blocks without content the lowest comes first. So the same calls give the same blocks on
/// every rank. All calls take constant time, or logarithmic where a block becomes free or is taken.
class BlockPool {
 public:
  explicit BlockPool(std::int64_t kv_blocks);

  [[nodiscard]] std::int64_t kv_blocks() const {
    return static_cast<std::int64_t>(kv_blocks_.size());
  }
  /// Blocks without a holder: free or cached.
  [[nodiscard]] std::int64_t available() const {
    return static_cast<std::int64_t>(free_.size()) + cached_;
  }
  /// Blocks without a holder that are registered.
  [[nodiscard]] std::int64_t cached() const { return cached_; }
  [[nodiscard]] bool is_held(BlockId kv_block) const { return entry(kv_block).holders > 0; }

  /// Takes a block for one holder: a free one or else the cached block that was given back first.
  /// Throws Error when none is available.
  BlockId take();
  /// Adds a holder to a block that is held or cached; throws Error when it is neither.
  void hold(BlockId kv_block);
  /// Takes one holder off; throws Error when the block has none.
  void give(BlockId kv_block);

  /// Makes a held block findable by its hash. Does nothing when another block has the same hash.
  void put(BlockId kv_block, const BlockHash& hash);
  /// The block with that hash, held or cached.
  [[nodiscard]] std::optional<BlockId> find(const BlockHash& hash) const;

 private:
  struct Entry {
    std::int64_t holders = 0;
    std::optional<BlockHash> hash;
    BlockId older = -1;  ///< neighbours in the list of cached blocks
    BlockId newer = -1;
  };

  [[nodiscard]] const Entry& entry(BlockId kv_block) const;
  Entry& entry(BlockId kv_block);
  void append_cached(BlockId kv_block);
  void remove_cached(BlockId kv_block);
  BlockId evict();

  std::vector<Entry> kv_blocks_;
  std::vector<BlockId> free_;  ///< a heap, lowest block on top
  BlockId oldest_ = -1;        ///< ends of the list of cached blocks
  BlockId newest_ = -1;
  std::int64_t cached_ = 0;
  std::unordered_map<BlockHash, BlockId, BlockHashBits> by_hash_;
};

}  // namespace weft
