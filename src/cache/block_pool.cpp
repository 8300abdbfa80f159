#include "cache/block_pool.h"

#include <algorithm>
#include <functional>

#include "base/error.h"

namespace weft {

BlockPool::BlockPool(std::int64_t pages) : pages_(static_cast<std::size_t>(pages)) {
  for (std::int64_t page = 0; page < pages; ++page) free_.push_back(static_cast<PageId>(page));
}

const BlockPool::Entry& BlockPool::entry(PageId page) const {
  require(page >= 0 && page < pages(), "there is no page {} among {}", page, pages());
  return pages_[static_cast<std::size_t>(page)];
}

BlockPool::Entry& BlockPool::entry(PageId page) {
  require(page >= 0 && page < pages(), "there is no page {} among {}", page, pages());
  return pages_[static_cast<std::size_t>(page)];
}

PageId BlockPool::take() {
  require(available() > 0, "the key/value cache has no free page");
  PageId page = -1;
  if (free_.empty()) {
    page = evict();
  } else {
    std::pop_heap(free_.begin(), free_.end(), std::greater<>());
    page = free_.back();
    free_.pop_back();
  }
  entry(page).holders = 1;
  return page;
}

void BlockPool::hold(PageId page) {
  Entry& held = entry(page);
  require(held.holders > 0 || held.hash.has_value(), "page {} holds nothing to share", page);
  if (held.holders++ == 0) remove_cached(page);
}

void BlockPool::give(PageId page) {
  Entry& given = entry(page);
  require(given.holders > 0, "page {} given back is not in use", page);
  if (--given.holders > 0) return;
  if (given.hash) {
    append_cached(page);
  } else {
    free_.push_back(page);
    std::push_heap(free_.begin(), free_.end(), std::greater<>());
  }
}

void BlockPool::put(PageId page, const BlockHash& hash) {
  Entry& full = entry(page);
  require(full.holders > 0 && !full.hash, "page {} cannot be registered", page);
  if (by_hash_.emplace(hash, page).second) full.hash = hash;
}

std::optional<PageId> BlockPool::find(const BlockHash& hash) const {
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end()) return std::nullopt;
  return found->second;
}

void BlockPool::append_cached(PageId page) {
  Entry& added = entry(page);
  added.older = newest_;
  added.newer = -1;
  (newest_ < 0 ? oldest_ : entry(newest_).newer) = page;
  newest_ = page;
  ++cached_;
}

void BlockPool::remove_cached(PageId page) {
  const Entry& removed = entry(page);
  (removed.older < 0 ? oldest_ : entry(removed.older).newer) = removed.newer;
  (removed.newer < 0 ? newest_ : entry(removed.newer).older) = removed.older;
  --cached_;
}

PageId BlockPool::evict() {
  const PageId page = oldest_;
  remove_cached(page);
  Entry& evicted = entry(page);
  by_hash_.erase(*evicted.hash);
  evicted.hash.reset();
  return page;
}

}  // namespace weft
