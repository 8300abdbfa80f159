// Looks for stop strings in text that arrives token by token.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/shared.h"
#include "text/tokenizer/stream_decoder.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

/// Decodes tokens as they come and finds the earliest stop string. Costs nothing when there are no
/// stop strings.
class StopStrings {
 public:
  /// `tokenizer` may be null when `stops` is empty; otherwise it must outlive this object. With
  /// `include` the text goes on to the end of the stop string. Throws Error for an empty one.
  StopStrings(Shared<std::vector<std::string>> stops, const Tokenizer* tokenizer,
              bool include = false);

  /// Adds a token. Gives the byte offset in the decoded text at which the first of the stop strings
  /// begins that this token completes, when there is one; with `include`, that at which it ends.
  std::optional<std::int64_t> add(TokenId token);

 private:
  Shared<std::vector<std::string>> stops_;
  bool include_;
  std::optional<StreamDecoder> decoder_;
  std::string text_;
};

}  // namespace weft
