// A small table of words that were encoded before.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace weft {

/// A direct-mapped cache from short words to their few tokens: a new word takes the place of the
/// one that had its slot. Fixed size (2 MiB); its state never changes what is encoded.
class WordCache {
 public:
  /// The tokens of `word`, if they are known; empty otherwise.
  [[nodiscard]] std::span<const TokenId> find(std::string_view word) const {
    if (word.size() > max_word || slots_.empty()) return {};
    const Key key = key_of(word);
    const Slot& slot = slots_[index_of(key)];
    if (slot.key != key) return {};
    return {slot.tokens.data(), slot.count};
  }

  void insert(std::string_view word, std::span<const TokenId> tokens) {
    if (word.size() > max_word || tokens.empty() || tokens.size() > max_tokens) return;
    if (slots_.empty()) slots_.resize(slot_count);
    const Key key = key_of(word);
    Slot& slot = slots_[index_of(key)];
    slot.key = key;
    slot.count = static_cast<std::uint32_t>(tokens.size());
    std::copy(tokens.begin(), tokens.end(), slot.tokens.begin());
  }

 private:
  static constexpr std::size_t slot_count = 1 << 15;
  static constexpr std::size_t max_word = 31;
  static constexpr std::size_t max_tokens = 7;
  using Key = std::array<std::uint64_t, 4>;  // the word, zeros, and its length + 1 in the last byte
  struct Slot {
    Key key{};
    std::uint32_t count = 0;
    std::array<TokenId, max_tokens> tokens{};
  };

  static Key key_of(std::string_view word) {
    std::array<char, sizeof(Key)> bytes{};
    std::memcpy(bytes.data(), word.data(), word.size());
    bytes.back() = static_cast<char>(word.size() + 1);
    Key key;
    std::memcpy(key.data(), bytes.data(), sizeof(key));
    return key;
  }

  static std::size_t index_of(const Key& key) {
    std::uint64_t h = 0;
    for (const std::uint64_t part : key) {
      h = (h ^ part) * 0x9E3779B97F4A7C15u;
      h ^= h >> 32;
    }
    return static_cast<std::size_t>(h) & (slot_count - 1);
  }

  std::vector<Slot> slots_;  // none until the first insertion
};

/// A WordCache for one thread at a time. A thread that comes second does without what the first
/// one remembers rather than wait for it.
class SharedWordCache {
 public:
  /// Use of the cache by the calling thread, as long as the object lives.
  class Lease {
   public:
    explicit Lease(SharedWordCache& shared)
        : lock_(shared.mutex_, std::try_to_lock),
          cache_(lock_.owns_lock() ? &shared.cache_ : nullptr) {}

    /// Appends the tokens of `word`: from memory, or else those that encode(word, out) appends.
    template <class Encode>
    void encode(std::string_view word, std::vector<TokenId>& out, const Encode& encode) {
      const auto known = cache_ != nullptr ? cache_->find(word) : std::span<const TokenId>();
      if (!known.empty()) {
        out.insert(out.end(), known.begin(), known.end());
        return;
      }
      const std::size_t begin = out.size();
      encode(word, out);
      if (cache_ != nullptr) cache_->insert(word, std::span(out).subspan(begin));
    }

   private:
    std::unique_lock<std::mutex> lock_;
    WordCache* cache_;
  };

 private:
  std::mutex mutex_;
  WordCache cache_;
};

}  // namespace weft
