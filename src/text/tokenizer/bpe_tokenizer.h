// The BPE tokenizer, assembled from its parts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/piece_decoder.h"
#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/word_cache.h"

namespace weft {

/// Added tokens are taken out of the text, the rest is normalised, cut into words, and each word
/// encoded by BPE; the frame's tokens go around it all.
class BpeTokenizer : public Tokenizer {
 public:
  /// What `EncodeOptions::add_special` adds.
  struct Frame {
    std::vector<TokenId> before;
    std::vector<TokenId> behind;
  };

  struct Parts {
    Vocab vocab;  // as the file writes it: byte-level pieces in their alphabet
    std::vector<Merge> merges;
    Bpe::Options options;  // `byte_level` is set from the pre-tokenizer
    std::vector<AddedToken> added_tokens;
    Normalizer normalizer;
    PreTokenizer pre_tokenizer;
    PieceDecoder decoder;
    Frame frame;
    std::optional<std::string> bos_token;
    std::optional<std::string> eos_token;
  };

  /// UserError if the parts contradict each other.
  explicit BpeTokenizer(Parts parts);

  [[nodiscard]] std::vector<TokenId> encode(std::string_view text,
                                            EncodeOptions options) const override;
  [[nodiscard]] bool names_special(std::string_view text) const override;
  [[nodiscard]] std::size_t vocab_size() const override { return bytes_.size(); }
  [[nodiscard]] std::string_view token_bytes(TokenId id) const override;
  [[nodiscard]] OpeningTrim opening_trim(TokenId id) const override;
  [[nodiscard]] bool is_special(TokenId id) const override;
  [[nodiscard]] std::optional<TokenId> token_id(std::string_view content) const override;
  [[nodiscard]] std::optional<TokenId> bos() const override { return bos_; }
  [[nodiscard]] std::optional<TokenId> eos() const override { return eos_; }

 private:
  void check_and_render(const Parts& parts);
  void encode_stretch(std::string_view text, bool is_first, SpecialScope scope,
                      SharedWordCache::Lease& cache, std::vector<TokenId>& ids) const;
  [[nodiscard]] std::size_t count_special(std::string_view normalized) const;
  void check_special_after_normalizing(std::string_view text, const SpecialScope& scope,
                                       std::string_view normalized) const;

  AddedTokens added_tokens_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  PieceDecoder decoder_;
  Frame frame_;
  std::vector<std::string> bytes_;  // by id
  std::unique_ptr<const Bpe> bpe_;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
  mutable SharedWordCache cache_;
};

}  // namespace weft
