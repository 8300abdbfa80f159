// Pages that running sequences are about to compute, and the sequences that wait for them.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "cache/block_pool.h"

namespace weft {

/// Of one page pool. Several sequences may promise a page of the same hash.
class PromisedPages {
 public:
  void promise(const BlockHash& hash);
  [[nodiscard]] bool has(const BlockHash& hash) const { return pages_.contains(hash); }

  /// Notes that a sequence waits for a promised page; throws Error when nobody promised it.
  void await(const BlockHash& hash, std::int64_t sequence);

  /// One promise is kept or withdrawn. Gives everyone who waited for the page, in the order in
  /// which they came; whoever still wants to wait must say so again. Throws Error when nobody
  /// promised it.
  std::vector<std::int64_t> settle(const BlockHash& hash);

  [[nodiscard]] bool empty() const { return pages_.empty(); }

 private:
  struct Page {
    std::int64_t promises = 0;
    std::vector<std::int64_t> waiting;
  };
  std::unordered_map<BlockHash, Page, BlockHashBits> pages_;
};

}  // namespace weft
