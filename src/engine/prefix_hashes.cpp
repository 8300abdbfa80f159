#include "engine/prefix_hashes.h"

namespace weft {

std::vector<BlockHash> prefix_hashes(std::span<const TokenId> tokens, std::int64_t page_tokens) {
  const auto page = static_cast<std::size_t>(page_tokens);
  std::vector<BlockHash> hashes;
  BlockHash previous;
  for (std::size_t end = page; end <= tokens.size(); end += page) {
    Digester digester;
    digester.add(std::as_bytes(std::span(&previous, 1)));
    digester.add(std::as_bytes(tokens.subspan(end - page, page)));
    previous = digester.result();
    hashes.push_back(previous);
  }
  return hashes;
}

}  // namespace weft
