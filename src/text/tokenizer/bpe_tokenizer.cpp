#include "text/tokenizer/bpe_tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/space_cuts.h"
#include "text/utf8.h"

namespace weft {
namespace {

// The same table with the bytes that the pieces stand for. A piece that is not written in the byte
// alphabet keeps its spelling: no word can produce it.
Vocab with_bytes(const Vocab& vocab) {
  Vocab result;
  for (std::size_t i = 0; i < vocab.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!vocab.contains(id)) continue;
    const std::string_view piece = vocab.piece(id);
    const std::optional<std::string> bytes = bytes_from_byte_level(piece);
    if (bytes) result.add(*bytes, id);
  }
  return result;
}

}  // namespace

BpeTokenizer::BpeTokenizer(Parts parts)
    : added_tokens_(parts.added_tokens, parts.normalizer),
      normalizer_(std::move(parts.normalizer)),
      pre_tokenizer_(std::move(parts.pre_tokenizer)),
      decoder_(std::move(parts.decoder)),
      frame_(std::move(parts.frame)) {
  check_and_render(parts);
  const auto named = [&](const std::optional<std::string>& name) -> std::optional<TokenId> {
    if (!name) return std::nullopt;
    if (const AddedToken* token = added_tokens_.find(*name)) return token->id;
    return parts.vocab.find(*name);
  };
  bos_ = named(parts.bos_token);
  eos_ = named(parts.eos_token);
  parts.options.byte_level = pre_tokenizer_.byte_level();
  bpe_ = std::make_unique<const Bpe>(
      parts.options.byte_level ? with_bytes(parts.vocab) : std::move(parts.vocab),
      std::move(parts.merges), parts.options);
}

void BpeTokenizer::check_and_render(const Parts& parts) {
  std::size_t size = parts.vocab.size();
  for (const AddedToken& token : added_tokens_.all()) {
    const bool id_taken =
        parts.vocab.contains(token.id) && parts.vocab.piece(token.id) != token.content;
    const std::optional<TokenId> other = parts.vocab.find(token.content);
    if (id_taken || (other && *other != token.id)) {
      fail_user("the added token \"{}\" with id {} contradicts the vocabulary", token.content,
                token.id);
    }
    size = std::max(size, static_cast<std::size_t>(token.id) + 1);
  }
  bytes_.resize(size);
  for (std::size_t i = 0; i < size; ++i) {
    const auto id = static_cast<TokenId>(i);
    if (const AddedToken* token = added_tokens_.find(id)) {
      // One that the vocabulary has, too, stands for what it does there.
      bytes_[i] = decoder_.bytes(token->content, !parts.vocab.contains(id));
    } else if (parts.vocab.contains(id)) {
      bytes_[i] = decoder_.bytes(parts.vocab.piece(id), false);
    }
  }
  for (const auto& ids : {frame_.before, frame_.behind}) {
    for (const TokenId id : ids) {
      if (!parts.vocab.contains(id) && added_tokens_.find(id) == nullptr) {
        fail_user("the post-processor adds token {}, which does not exist", id);
      }
    }
  }
}

std::vector<TokenId> BpeTokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::string storage;
  const std::string_view valid = well_formed(text, storage);
  require(options.user_ranges.empty() || storage.empty(), "ranges of a text that is not UTF-8");
  std::vector<TokenId> ids;
  if (options.add_special) ids = frame_.before;

  SharedWordCache::Lease cache(cache_);
  const SpecialScope scope{options.parse_special, options.user_ranges};
  const auto visit = [&](std::string_view part, const AddedToken* token) {
    if (token != nullptr) {
      ids.push_back(token->id);
    } else {
      SpecialScope inside = scope;
      inside.offset = static_cast<std::size_t>(part.data() - valid.data());
      encode_stretch(part, part.data() == valid.data(), inside, cache, ids);
    }
  };
  added_tokens_.split(valid, false, scope, visit);

  if (options.add_special) ids.insert(ids.end(), frame_.behind.begin(), frame_.behind.end());
  return ids;
}

bool BpeTokenizer::names_special(std::string_view text) const {
  if (added_tokens_.finds_special(text, false)) return true;
  if (!added_tokens_.any_special_in_normalized()) return false;
  std::string normalized(text);
  normalizer_.apply(normalized);
  return added_tokens_.finds_special(normalized, true);
}

std::size_t BpeTokenizer::count_special(std::string_view normalized) const {
  std::size_t count = 0;
  added_tokens_.split(normalized, true, {true}, [&](std::string_view, const AddedToken* token) {
    count += token != nullptr && token->special ? 1 : 0;
  });
  return count;
}

// Normalising moves text, so that ranges of it are lost. If the parts that no user wrote hold as
// many special tokens as the whole, then the whole has none from a user.
void BpeTokenizer::check_special_after_normalizing(std::string_view text, const SpecialScope& scope,
                                                   std::string_view normalized) const {
  std::size_t count = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const TextRange except = scope.next_exception(begin);
    std::string part(text.substr(begin, except.begin - begin));
    normalizer_.apply(part);
    count += count_special(part);
    begin = except.end;
  }
  if (count != count_special(normalized)) {
    fail_user(
        "the text may hold the name of a special token that this tokenizer finds only after "
        "normalising, where text of a user cannot be told from the template's");
  }
}

void BpeTokenizer::encode_stretch(std::string_view text, bool is_first, SpecialScope scope,
                                  SharedWordCache::Lease& cache, std::vector<TokenId>& ids) const {
  std::string storage;
  if (!normalizer_.empty()) {
    storage = text;
    normalizer_.apply(storage);
    if (scope.anywhere && !scope.except.empty() && added_tokens_.any_special_in_normalized()) {
      check_special_after_normalizing(text, scope, storage);
    }
    scope.except = {};
    text = storage;
  }
  Bpe::Workspace work;
  const auto merge = [&](std::string_view word, std::vector<TokenId>& out) {
    bpe_->encode(word, work, out);
  };
  const auto encode_part = [&](std::string_view part) { cache.encode(part, ids, merge); };
  const std::function<void(std::string_view)> encode_word = [&](std::string_view word) {
    if (bpe_->cuts_at_spaces()) {
      cut_before_spaces(word, visible_space, encode_part);
    } else {
      encode_part(word);
    }
  };
  const auto visit = [&](std::string_view part, const AddedToken* token) {
    if (token != nullptr) {
      ids.push_back(token->id);
    } else {
      pre_tokenizer_.run({part, is_first && part.data() == text.data()}, encode_word);
    }
  };
  added_tokens_.split(text, true, scope, visit);
}

std::string_view BpeTokenizer::token_bytes(TokenId id) const {
  const auto i = static_cast<std::size_t>(id);
  return id >= 0 && i < bytes_.size() ? std::string_view(bytes_[i]) : std::string_view();
}

OpeningTrim BpeTokenizer::opening_trim(TokenId id) const {
  return {decoder_.opening_trim(token_bytes(id)), false};
}

bool BpeTokenizer::is_special(TokenId id) const {
  const AddedToken* token = added_tokens_.find(id);
  return token != nullptr && token->special;
}

std::optional<TokenId> BpeTokenizer::token_id(std::string_view content) const {
  if (const AddedToken* token = added_tokens_.find(content)) return token->id;
  return bpe_->vocab().find(content);
}

}  // namespace weft
