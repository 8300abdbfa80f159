// Log-probabilities of a completion in the shapes of the OpenAI API. docs/reference/formats.md
// describes them.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/request.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

/// "logprobs" of a choice of /v1/completions: tokens, token_logprobs, top_logprobs, text_offset, of
/// the prompt's tokens too where the request asked for an echo. `tokenizer` may be null.
nlohmann::ordered_json completion_logprobs(const Completion& completion,
                                           const Tokenizer* tokenizer);

/// "logprobs" of a choice of /v1/chat/completions: content, one entry for each token.
nlohmann::ordered_json chat_logprobs(const Completion& completion, const Tokenizer* tokenizer);

}  // namespace weft
