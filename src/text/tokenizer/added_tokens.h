// Tokens that are found in the text itself, before it is cut into words.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/types.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/token_trie.h"

namespace weft {

/// A token added to a model's vocabulary under a fixed name.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;      // a control token: nothing that a user's text may contain
  bool normalized = true;    // found in normalised text, not in the text as given
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // swallows the white space behind it
  bool single_word = false;  // not next to a letter or digit

  /// From the object in tokenizer.json or tokenizer_config.json. UserError if it is none.
  static AddedToken from_json(const nlohmann::json& object, TokenId id);
};

/// Where in a text special tokens are looked for.
struct SpecialScope {
  bool anywhere = false;
  /// With `anywhere`: ranges, sorted and disjoint, that a special token must not reach into; they
  /// count from the start of a text in which the one at hand starts at `offset`.
  std::span<const TextRange> except = {};
  std::size_t offset = 0;

  /// The first of the ranges that reaches behind `begin`, clipped to nothing before the text at
  /// hand; empty at the end of the address space if there is none.
  [[nodiscard]] TextRange next_exception(std::size_t begin) const;
};

/// All added tokens of a tokenizer.
class AddedTokens {
 public:
  using Visit = std::function<void(std::string_view part, const AddedToken* token)>;

  AddedTokens() = default;

  /// UserError if two have the same id, or the same content but different ids.
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer);

  [[nodiscard]] const std::vector<AddedToken>& all() const { return tokens_; }
  [[nodiscard]] const AddedToken* find(TokenId id) const;
  [[nodiscard]] const AddedToken* find(std::string_view content) const;

  /// Calls `visit` for the consecutive parts of `text`: stretches without an added token (null),
  /// and occurrences of one. Of the tokens that start at the same place the longest counts.
  /// `normalized` chooses which tokens are looked for: those found in normalised text, or the
  /// others. Where special tokens are not looked for, their text belongs to a stretch.
  void split(std::string_view text, bool normalized, SpecialScope scope, const Visit& visit) const;

  /// Does `text` hold a special token of those found in normalised text, or of the others?
  [[nodiscard]] bool finds_special(std::string_view text, bool normalized) const;

  /// Are there special tokens that are found in normalised text?
  [[nodiscard]] bool any_special_in_normalized() const { return special_in_normalized_; }

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_map<TokenId, std::size_t> by_id_;
  std::unordered_map<std::string_view, std::size_t> by_content_;  // views into tokens_
  TokenTrie as_given_;
  TokenTrie in_normalized_;
  bool special_in_normalized_ = false;
};

}  // namespace weft
