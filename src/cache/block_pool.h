// Bookkeeping of the pages of a key/value cache. Knows no tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/digest.h"

namespace weft {

/// Index of a page of the cache, the same in every layer.
using PageId = std::int32_t;

/// Names what a full page holds: its tokens and, by way of the previous page's hash, all before
/// them. Two pages of one hash hold the same keys and values.
using BlockHash = Digest;

/// For hash tables: a digest's bits are spread evenly already.
struct BlockHashBits {
  std::size_t operator()(const BlockHash& hash) const { return static_cast<std::size_t>(hash.low); }
};

/// Hands out pages 0 … pages-1 to holders, of which a page may have several.
///
/// A full page may be registered under its hash. Such a page stays findable when its last holder
/// gives it back; it is then cached, and evicted when pages are needed, least recently held first.
/// Of the pages without content the lowest comes first. So the same calls give the same pages on
/// every rank. All calls take constant time, or logarithmic where a page becomes free or is taken.
class BlockPool {
 public:
  explicit BlockPool(std::int64_t pages);

  [[nodiscard]] std::int64_t pages() const { return static_cast<std::int64_t>(pages_.size()); }
  /// Pages without a holder: free or cached.
  [[nodiscard]] std::int64_t available() const {
    return static_cast<std::int64_t>(free_.size()) + cached_;
  }
  /// Pages without a holder that are registered.
  [[nodiscard]] std::int64_t cached() const { return cached_; }
  [[nodiscard]] bool is_held(PageId page) const { return entry(page).holders > 0; }

  /// Takes a page for one holder: a free one or else the cached page that was given back first.
  /// Throws Error when none is available.
  PageId take();
  /// Adds a holder to a page that is held or cached; throws Error when it is neither.
  void hold(PageId page);
  /// Takes one holder off; throws Error when the page has none.
  void give(PageId page);

  /// Makes a held page findable by its hash. Does nothing when another page has the same hash.
  void put(PageId page, const BlockHash& hash);
  /// The page with that hash, held or cached.
  [[nodiscard]] std::optional<PageId> find(const BlockHash& hash) const;

 private:
  struct Entry {
    std::int64_t holders = 0;
    std::optional<BlockHash> hash;
    PageId older = -1;  ///< neighbours in the list of cached pages
    PageId newer = -1;
  };

  [[nodiscard]] const Entry& entry(PageId page) const;
  Entry& entry(PageId page);
  void append_cached(PageId page);
  void remove_cached(PageId page);
  PageId evict();

  std::vector<Entry> pages_;
  std::vector<PageId> free_;  ///< a heap, lowest page on top
  PageId oldest_ = -1;        ///< ends of the list of cached pages
  PageId newest_ = -1;
  std::int64_t cached_ = 0;
  std::unordered_map<BlockHash, PageId, BlockHashBits> by_hash_;
};

}  // namespace weft
