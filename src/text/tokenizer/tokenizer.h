// Text to token ids and back.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "text/tokenizer/regex.h"

namespace weft {

/// How `Tokenizer::encode` treats special tokens.
struct EncodeOptions {
  /// Add what the model's own template adds around a text, such as BOS.
  bool add_special = true;
  /// Read "<|im_end|>" and the like as the special token of that name. Off for text of people who
  /// are not trusted: there it is ordinary text. Added tokens that the model's files do not call
  /// special (often "<think>") are part of the vocabulary and recognised in either case.
  bool parse_special = false;
  /// With `parse_special`: byte ranges, sorted and disjoint, that a user wrote. No special token is
  /// found that reaches into one of them. The text must then be well-formed UTF-8.
  std::span<const TextRange> user_ranges = {};
};

/// How tokens become text.
struct DecodeOptions {
  /// Special tokens yield no text.
  bool skip_special = true;
  /// The tokens follow others whose text is already out: keep the space that SentencePiece puts
  /// before the very first word and that decoding otherwise takes away again.
  bool continuation = false;
};

/// What decoding drops from a token that opens the output.
struct OpeningTrim {
  std::size_t bytes = 0;  // from the token's start
  bool goes_on = false;   // if nothing is left of this token, the next one is an opening too
};

/// How completions are decoded: they follow a prompt.
inline constexpr DecodeOptions kCompletionText{.skip_special = true, .continuation = true};

/// A model's tokenizer. All methods may be called from several threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Token ids of `text`. What is not UTF-8 in it becomes U+FFFD first.
  [[nodiscard]] virtual std::vector<TokenId> encode(std::string_view text,
                                                    EncodeOptions options = {}) const = 0;

  /// Does `text` hold the name of a special token, which `parse_special` would make a token of?
  [[nodiscard]] virtual bool names_special(std::string_view text) const = 0;

  /// One more than the largest id. There may be ids in between that stand for nothing.
  [[nodiscard]] virtual std::size_t vocab_size() const = 0;

  /// The bytes that a token contributes to decoded text: possibly part of a character only. For a
  /// special token its name. Empty for an id that stands for nothing or is out of range.
  [[nodiscard]] virtual std::string_view token_bytes(TokenId id) const = 0;

  /// What is dropped from `token_bytes(id)` where this token opens the output.
  [[nodiscard]] virtual OpeningTrim opening_trim(TokenId id) const = 0;

  /// Is it a special token (one that `skip_special` leaves out)?
  [[nodiscard]] virtual bool is_special(TokenId id) const = 0;

  /// The token with this content: the name of an added or special token, or a vocabulary entry (a
  /// byte-level one by the bytes that it stands for, a SentencePiece one as written, with U+2581).
  [[nodiscard]] virtual std::optional<TokenId> token_id(std::string_view content) const = 0;

  /// The model's beginning-of-sequence and end-of-sequence tokens, where its files name them.
  [[nodiscard]] virtual std::optional<TokenId> bos() const = 0;
  [[nodiscard]] virtual std::optional<TokenId> eos() const = 0;

  /// Text of `ids`, always well-formed UTF-8. Same as all output of a StreamDecoder fed with them.
  [[nodiscard]] std::string decode(std::span<const TokenId> ids, DecodeOptions options = {}) const;
};

/// Reads the tokenizer of a model directory: tokenizer.json if there, else vocab.json with
/// merges.txt, else a SentencePiece tokenizer.model; tokenizer_config.json beside them says which
/// tokens are BOS and EOS. UserError if there is none, if a file is damaged, or if it asks for
/// something that this program does not do (which is then named).
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model_dir);

}  // namespace weft
