#include "engine/bad_words.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "text/tokenizer/token_trie.h"

namespace weft {

TokenTexts::TokenTexts(const Tokenizer& tokenizer, std::int64_t vocab)
    : tokenizer_(tokenizer), vocab_(vocab) {
  const auto count = std::min(vocab, static_cast<std::int64_t>(tokenizer.vocab_size()));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!tokenizer.is_special(id) && !tokenizer.token_bytes(id).empty()) order_.push_back(id);
  }
  std::stable_sort(order_.begin(), order_.end(), [&](TokenId a, TokenId b) {
    return tokenizer.token_bytes(a) < tokenizer.token_bytes(b);
  });
}

std::span<const TokenId> TokenTexts::starting_with(std::string_view bytes) const {
  const auto begin = std::partition_point(order_.begin(), order_.end(), [&](TokenId id) {
    return tokenizer_.token_bytes(id).substr(0, bytes.size()) < bytes;
  });
  const auto end = std::partition_point(begin, order_.end(), [&](TokenId id) {
    return tokenizer_.token_bytes(id).starts_with(bytes);
  });
  return {begin, end};
}

BadWords::BadWords(std::vector<std::string> texts, std::shared_ptr<const TokenTexts> tokens)
    : tokens_(std::move(tokens)), texts_(std::move(texts)) {
  std::sort(texts_.begin(), texts_.end());
  texts_.erase(std::unique(texts_.begin(), texts_.end()), texts_.end());
  const Tokenizer& tokenizer = tokens_->tokenizer();
  TokenTrie trie;
  for (const std::string& text : texts_) {
    require(!text.empty(), "an empty bad word");
    trie.add(text, 0);
    longest_ = std::max(longest_, text.size());
    const std::optional<TokenId> named = tokenizer.token_id(text);
    if (named && *named < tokens_->vocab() && tokenizer.is_special(*named))
      always_.push_back(*named);
  }
  for (const TokenId id : tokens_->all()) {
    if (trie.find(tokenizer.token_bytes(id), 0)) always_.push_back(id);
  }
  std::sort(always_.begin(), always_.end());
}

void BadWords::completing(std::string_view tail, const std::function<void(TokenId)>& visit) const {
  for (const std::string_view text : texts_) {
    const std::size_t most = std::min(text.size() - 1, tail.size());
    for (std::size_t there = 1; there <= most; ++there) {
      if (!tail.ends_with(text.substr(0, there))) continue;
      for (const TokenId id : tokens_->starting_with(text.substr(there))) visit(id);
    }
  }
}

void BadWords::extend(std::string& tail, TokenId token) const {
  const Tokenizer& tokenizer = tokens_->tokenizer();
  if (tokenizer.is_special(token)) return;
  tail += tokenizer.token_bytes(token);
  if (tail.size() >= longest_) tail.erase(0, tail.size() + 1 - longest_);
}

}  // namespace weft
