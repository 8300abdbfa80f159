#include "engine/reserved_blocks.h"

#include <utility>

#include "base/error.h"

namespace weft {

void ReservedBlocks::promise(const BlockHash& hash) { ++kv_blocks_[hash].promises; }

void ReservedBlocks::await(const BlockHash& hash, std::int64_t sequence) {
  const auto kv_block = kv_blocks_.find(hash);
  require(kv_block != kv_blocks_.end(), "sequence {} waits for a page that nobody computes",
          sequence);
  kv_block->second.waiting.push_back(sequence);
}

std::vector<std::int64_t> ReservedBlocks::settle(const BlockHash& hash) {
  const auto kv_block = kv_blocks_.find(hash);
  require(kv_block != kv_blocks_.end(), "a page was not promised");
  std::vector<std::int64_t> woken = std::exchange(kv_block->second.waiting, {});
  if (--kv_block->second.promises == 0) kv_blocks_.erase(kv_block);
  return woken;
}

}  // namespace weft
