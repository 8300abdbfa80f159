#include "text/tokenizer/token_trie.h"

namespace weft {

void TokenTrie::add(std::string_view string, std::size_t value) {
  if (string.empty()) return;
  starts_[static_cast<std::uint8_t>(string.front())] = true;
  std::size_t node = 0;
  for (const char byte : string) {
    const auto [it, is_new] = edges_.emplace(edge(node, byte), nodes_.size());
    if (is_new) nodes_.emplace_back();
    node = it->second;
  }
  if (!nodes_[node].value) nodes_[node].value = value;
}

std::optional<TokenTrie::Match> TokenTrie::find(std::string_view text, std::size_t from) const {
  if (edges_.empty()) return std::nullopt;
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<std::uint8_t>(text[begin])]) continue;
    std::optional<Match> longest;
    std::size_t node = 0;
    for (std::size_t end = begin; end < text.size(); ++end) {
      const auto it = edges_.find(edge(node, text[end]));
      if (it == edges_.end()) break;
      node = it->second;
      if (nodes_[node].value) longest = Match{{begin, end + 1}, *nodes_[node].value};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

}  // namespace weft
