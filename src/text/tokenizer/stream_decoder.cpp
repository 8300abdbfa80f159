#include "text/tokenizer/stream_decoder.h"

#include <string_view>

namespace weft {

std::string StreamDecoder::push(TokenId id) {
  std::string text;
  if (options_.skip_special && tokenizer_->is_special(id)) return text;
  std::string_view bytes = tokenizer_->token_bytes(id);
  if (bytes.empty()) return text;
  if (at_opening_) {
    const OpeningTrim trim = tokenizer_->opening_trim(id);
    bytes.remove_prefix(trim.bytes);
    at_opening_ = trim.goes_on && bytes.empty();
  }
  utf8_.feed(bytes, text);
  return text;
}

std::string StreamDecoder::flush() {
  std::string text;
  utf8_.finish(text);
  return text;
}

}  // namespace weft
