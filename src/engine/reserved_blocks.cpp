#include "engine/reserved_blocks.h"

#include <utility>

#include "base/error.h"

namespace weft {

void PromisedPages::promise(const BlockHash& hash) { ++pages_[hash].promises; }

void PromisedPages::await(const BlockHash& hash, std::int64_t sequence) {
  const auto page = pages_.find(hash);
  require(page != pages_.end(), "sequence {} waits for a page that nobody computes", sequence);
  page->second.waiting.push_back(sequence);
}

std::vector<std::int64_t> PromisedPages::settle(const BlockHash& hash) {
  const auto page = pages_.find(hash);
  require(page != pages_.end(), "a page was not promised");
  std::vector<std::int64_t> woken = std::exchange(page->second.waiting, {});
  if (--page->second.promises == 0) pages_.erase(page);
  return woken;
}

}  // namespace weft
