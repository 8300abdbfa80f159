// Rows of results.jsonl, in the OpenAI batch output form. docs/formats.md describes them.
//
// A row is a function of the request and the model's answer: it holds no time, no host and no
// layout, and the order of its keys is fixed.
#pragma once

#include <string>
#include <string_view>

#include "app/prompts.h"
#include "engine/request.h"

namespace weft {

/// The row of a finished request, without '\n'. `text` is the decoded completion, already cut at a
/// stop string. With `digest` the row carries the logits digest and the token ids under "weft".
std::string completion_row(const PromptLine& prompt, const Completion& completion,
                           std::string_view text, bool digest);

/// The row of a request that was refused, without '\n'.
std::string error_row(const PromptError& error);

}  // namespace weft
