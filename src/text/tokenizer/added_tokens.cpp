#include "text/tokenizer/added_tokens.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/json_file.h"
#include "text/utf8.h"

namespace weft {
namespace {

// What \w is for the reference's added tokens: Unicode's definition, joiners and circled letters
// (which are alphabetic, but no letters) included.
bool is_word_char(char32_t c) {
  const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  if (within(0x200C, 0x200D) || within(0x24B6, 0x24E9) || within(0x1F130, 0x1F149) ||
      within(0x1F150, 0x1F169) || within(0x1F170, 0x1F189)) {
    return true;
  }
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

bool stands_alone(std::string_view text, TextRange range) {
  std::size_t before = range.begin;
  std::size_t behind = range.end;
  return (before == 0 || !is_word_char(previous_char(text, before))) &&
         (behind == text.size() || !is_word_char(next_char(text, behind)));
}

// `range` with the white space that the token swallows, but nothing before `least`.
TextRange widened(std::string_view text, TextRange range, const AddedToken& token,
                  std::size_t least) {
  while (token.lstrip && range.begin > least) {
    std::size_t before = range.begin;
    if (!is_white_space(previous_char(text, before))) break;
    range.begin = before;
  }
  while (token.rstrip && range.end < text.size()) {
    std::size_t behind = range.end;
    if (!is_white_space(next_char(text, behind))) break;
    range.end = behind;
  }
  return range;
}

}  // namespace

AddedToken AddedToken::from_json(const nlohmann::json& object, TokenId id) {
  AddedToken token;
  token.id = id;
  token.content = object.at("content").get<std::string>();
  if (token.content.empty()) fail_user("added token {} is empty", id);
  token.special = bool_member(object, "special", false);
  token.normalized = bool_member(object, "normalized", !token.special);
  token.lstrip = bool_member(object, "lstrip", false);
  token.rstrip = bool_member(object, "rstrip", false);
  token.single_word = bool_member(object, "single_word", false);
  return token;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer)
    : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    if (!by_id_.emplace(token.id, i).second) {
      fail_user("two added tokens have the id {}", token.id);
    }
    if (!by_content_.emplace(token.content, i).second) {
      fail_user("the added token \"{}\" has two ids", token.content);
    }
    if (token.normalized) {
      std::string content = token.content;
      normalizer.apply(content);
      in_normalized_.add(content, i);
      special_in_normalized_ = special_in_normalized_ || token.special;
    } else {
      as_given_.add(token.content, i);
    }
  }
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &tokens_[it->second];
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto it = by_content_.find(content);
  return it == by_content_.end() ? nullptr : &tokens_[it->second];
}

TextRange SpecialScope::next_exception(std::size_t begin) const {
  const auto range = std::partition_point(
      except.begin(), except.end(), [&](const TextRange& r) { return r.end <= begin + offset; });
  constexpr std::size_t nowhere = std::string_view::npos;
  if (range == except.end()) return {nowhere, nowhere};
  return {range->begin > offset ? range->begin - offset : 0, range->end - offset};
}

bool AddedTokens::finds_special(std::string_view text, bool normalized) const {
  bool found = false;
  split(text, normalized, {true}, [&](std::string_view, const AddedToken* token) {
    found = found || (token != nullptr && token->special);
  });
  return found;
}

void AddedTokens::split(std::string_view text, bool normalized, SpecialScope scope,
                        const Visit& visit) const {
  const TokenTrie& trie = normalized ? in_normalized_ : as_given_;
  std::size_t done = 0;
  for (std::size_t from = 0; auto match = trie.find(text, from);) {
    if (tokens_[match->value].special) {
      const TextRange except = scope.next_exception(match->range.begin);
      const bool apart = match->range.end <= except.begin;
      if (!scope.anywhere ||
          (except.begin <= match->range.begin && match->range.end <= except.end)) {
        from = match->range.end;
        continue;
      }
      if (!apart) {
        // It begins or ends in what a user wrote. A shorter one may not.
        from = match->range.begin;
        match = from < except.begin ? trie.find(text.substr(0, except.begin), from) : std::nullopt;
        if (!match || match->range.begin != from) {
          ++from;
          continue;
        }
      }
    }
    from = match->range.end;
    const AddedToken& token = tokens_[match->value];
    if (token.single_word && !stands_alone(text, match->range)) continue;
    const TextRange range = widened(text, match->range, token, done);
    if (range.begin > done) visit(text.substr(done, range.begin - done), nullptr);
    visit(text.substr(range.begin, range.end - range.begin), &token);
    done = from = range.end;
  }
  if (done < text.size()) visit(text.substr(done), nullptr);
}

}  // namespace weft
