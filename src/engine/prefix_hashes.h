// What prefix sharing compares: the blocks of a prompt as hashes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"
#include "cache/block_pool.h"

namespace weft {

/// One hash for each full block of `block_tokens` tokens, ascending. Each covers the hash before it
/// and the block's token ids, so that equal hashes mean equal tokens from position 0 on; the first
/// starts from a digest of zeros. A rest that does not fill a block has none.
std::vector<BlockHash> prefix_hashes(std::span<const TokenId> tokens, std::int64_t block_tokens);

}  // namespace weft
