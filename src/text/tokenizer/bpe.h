// Byte-pair encoding: merges the symbols of a word by rank.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "text/tokenizer/vocab.h"

namespace weft {

/// Two tokens and the token that they merge into.
struct Merge {
  TokenId left;
  TokenId right;
  TokenId result;
};

/// The merges of a tokenizer.json, best first: "a b" strings or ["a", "b"] pairs. UserError if one
/// names a piece, or makes one, that the vocabulary lacks.
std::vector<Merge> merges_from_json(const nlohmann::json& list, const Vocab& vocab);

/// The same from the text of a merges.txt: a line "a b" each, after an optional "#version" line.
std::vector<Merge> merges_from_text(std::string_view text, const Vocab& vocab);

/// A BPE model. A word starts as its bytes (byte-level) or as its characters, each a token of its
/// own; then, as long as there is one, the adjacent pair of best rank (leftmost among equals)
/// becomes the token that it merges into. Sennrich, Haddow and Birch 2016, with a priority queue
/// over a linked list: O(n log n) in the length of the word.
class Bpe {
 public:
  struct Options {
    bool byte_level = false;     // the vocabulary's pieces are bytes
    bool byte_fallback = false;  // unknown characters become <0x00> ... <0xFF> tokens
    bool fuse_unk = false;       // a run of unknown characters is one unknown token
    bool ignore_merges = false;  // a word that is a piece is that token, whatever the merges
    std::optional<TokenId> unk;  // unknown characters vanish without it
  };

  /// Memory that `encode` works in; keep it from call to call.
  class Workspace {
    friend class Bpe;
    struct Symbol {
      TokenId id;
      std::int32_t previous;  // -1 at the start
      std::int32_t next;      // -1 at the end
      std::uint32_t rank;     // of the merge with the next symbol; `none` if there is no such merge
    };
    std::vector<Symbol> symbols;
    std::vector<std::uint64_t> queue;  // rank << 32 | index of the left symbol; a min-heap
    std::vector<TokenId> start;
  };

  /// For byte-level models `vocab` holds the bytes themselves, not their alphabet.
  Bpe(Vocab vocab, std::vector<Merge> merges, Options options);

  /// Appends the tokens of one word (well-formed UTF-8 unless byte-level, < 2 GiB).
  void encode(std::string_view word, Workspace& work, std::vector<TokenId>& out) const;

  /// May a word be cut before each U+2581 that follows another character, and the parts be encoded
  /// one by one, without a difference?
  [[nodiscard]] bool cuts_at_spaces() const { return cuts_at_spaces_; }

  [[nodiscard]] const Vocab& vocab() const { return vocab_; }

 private:
  static constexpr std::uint32_t none = 0xFFFFFFFF;
  struct Slot {
    std::uint64_t pair = ~std::uint64_t{0};  // left << 32 | right
    std::uint32_t rank = none;
  };

  void start_bytes(std::string_view word, std::vector<TokenId>& start) const;
  void start_characters(std::string_view word, std::vector<TokenId>& start) const;
  void merge(Workspace& work, std::vector<TokenId>& out) const;
  void insert(TokenId left, TokenId right, std::uint32_t rank);
  [[nodiscard]] std::uint32_t rank_of(TokenId left, TokenId right) const;

  Vocab vocab_;
  std::vector<Merge> merges_;  // by rank
  Options options_;
  std::vector<Slot> slots_;                 // open addressing; a power of two, at most half full
  std::array<TokenId, 256> byte_tokens_{};  // -1: none
  bool cuts_at_spaces_ = false;
};

}  // namespace weft
