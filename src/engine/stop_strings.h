// Looks for stop strings in text that arrives token by token.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace weft {

/// Decodes tokens as they come and finds the earliest stop string. Costs nothing when there are no
/// stop strings.
class StopStrings {
 public:
  /// `tokenizer` may be null when `stops` is empty; otherwise it must outlive this object. Throws
  /// Error for an empty stop string.
  StopStrings(std::vector<std::string> stops, const Tokenizer* tokenizer);

  /// Adds a token. Gives the byte offset in the decoded text at which the first of the stop strings
  /// begins that this token completes, when there is one.
  std::optional<std::int64_t> add(TokenId token);

 private:
  std::vector<std::string> stops_;
  std::optional<StreamDecoder> decoder_;
  std::string text_;
};

}  // namespace weft
