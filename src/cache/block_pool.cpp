#include "cache/block_pool.h"

#include <algorithm>
#include <functional>

#include "base/error.h"

namespace weft {

BlockPool::BlockPool(std::int64_t kv_blocks) : kv_blocks_(static_cast<std::size_t>(kv_blocks)) {
  for (std::int64_t kv_block = 0; kv_block < kv_blocks; ++kv_block)
    free_.push_back(static_cast<BlockId>(kv_block));
}

const BlockPool::Entry& BlockPool::entry(BlockId kv_block) const {
  require(kv_block >= 0 && kv_block < kv_blocks(), "there is no page {} among {}", kv_block,
          kv_blocks());
  return kv_blocks_[static_cast<std::size_t>(kv_block)];
}

BlockPool::Entry& BlockPool::entry(BlockId kv_block) {
  require(kv_block >= 0 && kv_block < kv_blocks(), "there is no page {} among {}", kv_block,
          kv_blocks());
  return kv_blocks_[static_cast<std::size_t>(kv_block)];
}

BlockId BlockPool::take() {
  require(available() > 0, "the key/value cache has no free page");
  BlockId kv_block = -1;
  if (free_.empty()) {
    kv_block = evict();
  } else {
    std::pop_heap(free_.begin(), free_.end(), std::greater<>());
    kv_block = free_.back();
    free_.pop_back();
  }
  entry(kv_block).holders = 1;
  return kv_block;
}

void BlockPool::hold(BlockId kv_block) {
  Entry& held = entry(kv_block);
  require(held.holders > 0 || held.hash.has_value(), "page {} holds nothing to share", kv_block);
  if (held.holders++ == 0) remove_cached(kv_block);
}

void BlockPool::give(BlockId kv_block) {
  Entry& given = entry(kv_block);
  require(given.holders > 0, "page {} given back is not in use", kv_block);
  if (--given.holders > 0) return;
  if (given.hash) {
    append_cached(kv_block);
  } else {
    free_.push_back(kv_block);
    std::push_heap(free_.begin(), free_.end(), std::greater<>());
  }
}

void BlockPool::put(BlockId kv_block, const BlockHash& hash) {
  Entry& full = entry(kv_block);
  require(full.holders > 0 && !full.hash, "page {} cannot be registered", kv_block);
  if (by_hash_.emplace(hash, kv_block).second) full.hash = hash;
}

std::optional<BlockId> BlockPool::find(const BlockHash& hash) const {
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end()) return std::nullopt;
  return found->second;
}

void BlockPool::append_cached(BlockId kv_block) {
  Entry& added = entry(kv_block);
  added.older = newest_;
  added.newer = -1;
  (newest_ < 0 ? oldest_ : entry(newest_).newer) = kv_block;
  newest_ = kv_block;
  ++cached_;
}

void BlockPool::remove_cached(BlockId kv_block) {
  const Entry& removed = entry(kv_block);
  (removed.older < 0 ? oldest_ : entry(removed.older).newer) = removed.newer;
  (removed.newer < 0 ? newest_ : entry(removed.newer).older) = removed.older;
  --cached_;
}

BlockId BlockPool::evict() {
  const BlockId kv_block = oldest_;
  remove_cached(kv_block);
  Entry& evicted = entry(kv_block);
  by_hash_.erase(*evicted.hash);
  evicted.hash.reset();
  return kv_block;
}

}  // namespace weft
