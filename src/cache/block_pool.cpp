#include "cache/block_pool.h"

#include <algorithm>
#include <functional>

#include "base/error.h"

namespace weft {

BlockPool::BlockPool(std::int64_t pages)
    : pages_(pages), used_(static_cast<std::size_t>(pages), false) {
  for (std::int64_t page = 0; page < pages; ++page) free_.push_back(static_cast<PageId>(page));
}

PageId BlockPool::take() {
  require(!free_.empty(), "the key/value cache has no free page");
  std::pop_heap(free_.begin(), free_.end(), std::greater<>());
  const PageId page = free_.back();
  free_.pop_back();
  used_[static_cast<std::size_t>(page)] = true;
  return page;
}

void BlockPool::give(PageId page) {
  require(page >= 0 && page < pages_ && used_[static_cast<std::size_t>(page)],
          "page {} given back is not in use", page);
  used_[static_cast<std::size_t>(page)] = false;
  free_.push_back(page);
  std::push_heap(free_.begin(), free_.end(), std::greater<>());
}

}  // namespace weft
