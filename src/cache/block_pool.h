// Bookkeeping of the pages of a key/value cache. Knows no tensors.
#pragma once

#include <cstdint>
#include <vector>

namespace weft {

/// Index of a page of the cache, the same in every layer.
using PageId = std::int32_t;

/// Hands out pages 0 … pages-1. The lowest free page comes first, so that the same calls give the
/// same pages on every rank.
class BlockPool {
 public:
  explicit BlockPool(std::int64_t pages);

  [[nodiscard]] std::int64_t pages() const { return pages_; }
  [[nodiscard]] std::int64_t available() const { return static_cast<std::int64_t>(free_.size()); }

  /// Takes a page; throws Error when none is available.
  PageId take();
  /// Gives a page back; throws Error when it is not in use.
  void give(PageId page);

 private:
  std::int64_t pages_;
  std::vector<PageId> free_;  ///< a heap, lowest page on top
  std::vector<bool> used_;
};

}  // namespace weft
