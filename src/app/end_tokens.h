// Which tokens end a sequence, and who says so.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/config/config.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

struct EndToken {
  TokenId id = 0;
  std::string source;  ///< "config.json", "generation_config.json and the tokenizer"
};

/// The end tokens that the model's configuration names, `source` being the file that does, and the
/// one that its tokenizer names, where the model's vocabulary has it. `tokenizer` may be null.
std::vector<EndToken> end_tokens(const ModelConfig& config, const Tokenizer* tokenizer,
                                 std::string_view source = "the model's configuration");

/// For people: `151645 "<|im_end|>" (the tokenizer's eos_token), …`; "none" if there are none.
std::string to_text(const std::vector<EndToken>& tokens, const Tokenizer* tokenizer);

}  // namespace weft
