#include "engine/prefix_hashes.h"

namespace weft {

std::vector<BlockHash> prefix_hashes(std::span<const TokenId> tokens, std::int64_t block_tokens) {
  const auto kv_block = static_cast<std::size_t>(block_tokens);
  std::vector<BlockHash> hashes;
  BlockHash previous;
  for (std::size_t end = kv_block; end <= tokens.size(); end += kv_block) {
    Digester digester;
    digester.add(std::as_bytes(std::span(&previous, 1)));
    digester.add(std::as_bytes(tokens.subspan(end - kv_block, kv_block)));
    previous = digester.result();
    hashes.push_back(previous);
  }
  return hashes;
}

}  // namespace weft
