// SentencePiece models (Llama 1 and 2, Mistral), through its own library.
#include <sentencepiece_processor.h>

#include <algorithm>

#include "text/json_file.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/loaders.h"
#include "text/tokenizer/pattern.h"
#include "text/tokenizer/sentencepiece_settings.h"
#include "text/tokenizer/space_cuts.h"
#include "text/tokenizer/word_cache.h"
#include "text/utf8.h"

namespace weft {
namespace {

using Processor = sentencepiece::SentencePieceProcessor;

void load(Processor& processor, std::string_view model) {
  if (!has_sound_rewrites(model)) {
    fail_user("not a SentencePiece model: its rules for rewriting text are damaged");
  }
  const auto status = processor.LoadFromSerializedProto({model.data(), model.size()});
  if (!status.ok()) fail_user("not a SentencePiece model: {}", status.ToString());
  if (processor.GetPieceSize() <= 0) fail_user("not a SentencePiece model: it has no pieces");
  if (processor.GetPieceSize() > max_vocab_size) {
    fail_user("{} pieces are too many", processor.GetPieceSize());
  }
}

// The surface of a piece in decoded text; control tokens keep their name.
std::string render(const Processor& processor, int id) {
  const std::string& piece = processor.IdToPiece(id);
  if (processor.IsUnknown(id)) return " \xE2\x81\x87 ";  // what the library itself puts there
  if (processor.IsByte(id) && piece.size() == 6) {       // <0x0A>
    return {static_cast<char>(std::stoi(piece.substr(3, 2), nullptr, 16))};
  }
  if (processor.IsControl(id)) return piece;
  return Pattern(std::string(visible_space)).replace_all(piece, " ");
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(const std::filesystem::path& file, const TokenizerConfig& config)
      : legacy_(config.legacy) {
    const std::string model = read_tokenizer_file(file);
    load(first_, model);
    load(rest_, model + std::string(without_dummy_prefix));
    settings_ = SentencePieceSettings::from_model(model);
    cuts_at_spaces_ = may_cut_at_spaces();
    add_tokens(config);
    frame(config);
  }

  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override {
    std::string storage;
    const std::string_view valid = well_formed(text, storage);
    require(options.user_ranges.empty() || storage.empty(), "ranges of a text that is not UTF-8");
    std::vector<TokenId> ids;
    if (options.add_special && bos_first_) ids.push_back(*bos_);
    SharedWordCache::Lease cache(cache_);
    added_tokens_.split(valid, false, {options.parse_special, options.user_ranges},
                        [&](std::string_view part, const AddedToken* token) {
                          if (token != nullptr) {
                            ids.push_back(token->id);
                          } else {
                            encode_stretch(part, part.data() == valid.data(), cache, ids);
                          }
                        });
    if (options.add_special && eos_last_) ids.push_back(*eos_);
    return ids;
  }

  bool names_special(std::string_view text) const override {
    return added_tokens_.finds_special(text, false);
  }

  std::size_t vocab_size() const override { return bytes_.size(); }

  std::string_view token_bytes(TokenId id) const override {
    return in_range(id) ? std::string_view(bytes_[static_cast<std::size_t>(id)])
                        : std::string_view();
  }

  OpeningTrim opening_trim(TokenId id) const override {
    if (id < 0 || id >= first_.GetPieceSize()) return {};
    std::string_view piece = first_.IdToPiece(id);
    std::size_t spaces = 0;
    for (; piece.starts_with(visible_space); ++spaces) piece.remove_prefix(visible_space.size());
    if (settings_.squeezes_spaces) return {spaces, true};
    return {settings_.dummy_prefix ? std::min<std::size_t>(spaces, 1) : 0, false};
  }

  bool is_special(TokenId id) const override {
    return in_range(id) && special_[static_cast<std::size_t>(id)];
  }

  std::optional<TokenId> token_id(std::string_view content) const override {
    if (const AddedToken* token = added_tokens_.find(content)) return token->id;
    const int id = first_.PieceToId({content.data(), content.size()});
    if (first_.IdToPiece(id) != content) return std::nullopt;
    return id;
  }

  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }

 private:
  bool in_range(TokenId id) const {
    return id >= 0 && static_cast<std::size_t>(id) < bytes_.size();
  }

  // May the words of a text be encoded one by one?
  bool may_cut_at_spaces() const {
    const bool plain = settings_.is_bpe && !settings_.space_is_suffix && !settings_.rewrites &&
                       !settings_.squeezes_spaces && settings_.escapes_spaces;
    if (!plain || first_.IsUnknown(first_.PieceToId({visible_space.data(), 3}))) return false;
    for (int id = 0; id < first_.GetPieceSize(); ++id) {
      if (!first_.IsControl(id) && has_inner_space(first_.IdToPiece(id))) return false;
    }
    return true;
  }

  // Control pieces can be parsed from text; the files beside the model may add more tokens.
  void add_tokens(const TokenizerConfig& config) {
    std::vector<AddedToken> tokens;
    const auto count = static_cast<std::size_t>(first_.GetPieceSize());
    for (std::size_t i = 0; i < count; ++i) {
      const int id = static_cast<int>(i);
      bytes_.push_back(render(first_, id));
      special_.push_back(first_.IsControl(id));
      if (!first_.IsControl(id)) continue;
      AddedToken token;
      token.id = id;
      token.content = first_.IdToPiece(id);
      token.special = true;
      token.normalized = false;
      tokens.push_back(std::move(token));
    }
    for (AddedToken token : config.added_tokens) {
      const auto i = static_cast<std::size_t>(token.id);
      if (i < count) {
        if (first_.IdToPiece(token.id) != token.content) {
          fail_user("the added token \"{}\" with id {} contradicts the vocabulary", token.content,
                    token.id);
        }
        continue;
      }
      if (i >= bytes_.size()) {
        bytes_.resize(i + 1);
        special_.resize(i + 1);
      }
      bytes_[i] = token.content;
      special_[i] = token.special;
      token.normalized = false;
      tokens.push_back(std::move(token));
    }
    added_tokens_ = AddedTokens(std::move(tokens), Normalizer());
  }

  void frame(const TokenizerConfig& config) {
    const auto id_of = [&](const std::optional<std::string>& name, int own) {
      std::optional<TokenId> id = name ? token_id(*name) : std::nullopt;
      if (!id && own >= 0) id = own;
      return id;
    };
    bos_ = id_of(config.bos_token, first_.bos_id());
    eos_ = id_of(config.eos_token, first_.eos_id());
    bos_first_ = config.add_bos_token.value_or(true) && bos_.has_value();
    eos_last_ = config.add_eos_token.value_or(false) && eos_.has_value();
  }

  void encode_stretch(std::string_view text, bool is_first, SharedWordCache::Lease& cache,
                      std::vector<TokenId>& ids) const {
    const Processor& opening = is_first || legacy_ ? first_ : rest_;
    if (!cuts_at_spaces_) return run(opening, text, ids);
    cut_before_spaces(text, " ", [&](std::string_view word) {
      if (word.data() == text.data()) return run(opening, word, ids);
      cache.encode(word, ids,
                   [&](std::string_view w, std::vector<TokenId>& out) { run(rest_, w, out); });
    });
  }

  static void run(const Processor& processor, std::string_view text, std::vector<TokenId>& ids) {
    std::vector<int> part;
    const auto status = processor.Encode({text.data(), text.size()}, &part);
    if (!status.ok()) fail("SentencePiece: {}", status.ToString());
    ids.insert(ids.end(), part.begin(), part.end());
  }

  Processor first_;  // for text that nothing stands before
  Processor rest_;   // for text in the middle: the same without the dummy prefix
  SentencePieceSettings settings_;
  bool legacy_;  // text behind a special token starts afresh
  bool cuts_at_spaces_ = false;
  mutable SharedWordCache cache_;
  AddedTokens added_tokens_;
  std::vector<std::string> bytes_;  // by id
  std::vector<bool> special_;       // by id
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
  bool bos_first_ = false;
  bool eos_last_ = false;
};

}  // namespace

std::unique_ptr<Tokenizer> load_sentencepiece(const std::filesystem::path& model_dir,
                                              const TokenizerConfig& config) {
  const std::filesystem::path file = model_dir / "tokenizer.model";
  return reading(file, [&] { return std::make_unique<SentencePieceTokenizer>(file, config); });
}

}  // namespace weft
