#include "engine/prompt_lookup.h"

#include <algorithm>

namespace weft {
namespace {

// Ends of that many tokens are looked for.
constexpr std::size_t kLeastEnd = 2;
constexpr std::size_t kMostEnd = 8;

constexpr std::int64_t kLongestDraft = 64;
constexpr int kPatience = 2;     ///< drafts in a row that may fail before it rests
constexpr int kLongestRest = 6;  ///< 2^6 steps

/// How many tokens before `end` are those before the end of all.
std::size_t common_end(std::span<const TokenId> tokens, std::size_t end) {
  std::size_t length = 0;
  while (length < std::min(end, kMostEnd) &&
         tokens[end - 1 - length] == tokens[tokens.size() - 1 - length]) {
    ++length;
  }
  return length;
}

}  // namespace

std::vector<TokenId> PromptLookup::draft(std::span<const TokenId> tokens, std::int64_t most) {
  if (rest_ > 0) {
    --rest_;
    return {};
  }
  std::size_t longest = kLeastEnd - 1;
  std::size_t from = 0;
  for (std::size_t end = tokens.size() - 1; end >= kLeastEnd && longest < kMostEnd; --end) {
    const std::size_t length = common_end(tokens, end);
    if (length <= longest) continue;
    longest = length;
    from = end;
  }
  if (longest < kLeastEnd) return {};
  std::vector<TokenId> drafts;
  for (std::int64_t i = 0; i < std::min(most, length_); ++i, ++from) {
    // A repetition that has not ended goes on into the draft itself.
    drafts.push_back(from < tokens.size() ? tokens[from] : drafts[from - tokens.size()]);
  }
  return drafts;
}

void PromptLookup::verified(std::int64_t drafted, std::int64_t accepted) {
  if (accepted > 0) {
    misses_ = 0;
    length_ = accepted == drafted ? std::min(2 * length_, kLongestDraft) : accepted + 1;
    return;
  }
  length_ = 1;
  ++misses_;
  if (misses_ > kPatience) {
    rest_ = std::int64_t{1} << std::min(misses_ - kPatience, kLongestRest);
  }
}

}  // namespace weft
