// Tokens to text, as they are generated.
#pragma once

#include <string>

#include "base/types.h"
#include "text/tokenizer/tokenizer.h"
#include "text/utf8.h"

namespace weft {

/// Decodes tokens one at a time. Output is well-formed UTF-8: a character whose bytes are spread
/// over several tokens appears with the last of them.
class StreamDecoder {
 public:
  /// `tokenizer` must outlive the decoder.
  explicit StreamDecoder(const Tokenizer& tokenizer, DecodeOptions options = {})
      : tokenizer_(&tokenizer), options_(options), at_opening_(!options.continuation) {}

  /// The text that this token completes; may be empty.
  std::string push(TokenId id);

  /// Ends the text: U+FFFD if a character is still incomplete, else nothing.
  std::string flush();

 private:
  const Tokenizer* tokenizer_;
  DecodeOptions options_;
  bool at_opening_;
  Utf8Stream utf8_;
};

}  // namespace weft
