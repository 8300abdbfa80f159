// What prefix sharing compares: the pages of a prompt as hashes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"
#include "cache/block_pool.h"

namespace weft {

/// One hash for each full page of `page_tokens` tokens, ascending. Each covers the hash before it
/// and the page's token ids, so that equal hashes mean equal tokens from position 0 on; the first
/// starts from a digest of zeros. A rest that does not fill a page has none.
std::vector<BlockHash> prefix_hashes(std::span<const TokenId> tokens, std::int64_t page_tokens);

}  // namespace weft
