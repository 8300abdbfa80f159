// Rows of results.jsonl, in the OpenAI batch output form. docs/reference/formats.md describes them.
//
// A row is a function of the request and the model's answer: it holds no time, no host and no
// layout, and the order of its keys is fixed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "app/output/journal_frame.h"
#include "app/requests/prompts.h"
#include "engine/request.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

/// What a row is written with.
struct RowOptions {
  const Tokenizer* tokenizer = nullptr;  ///< null: answers have no text
  bool digest = false;                   ///< the row carries digests and token ids under "weft"
  std::int64_t created = 0;              ///< seconds since 1970
  Bytes longest = kJournalRowCap;        ///< longest row that is written
};

/// The code of a request whose logits are NaN or infinite, and the type of an error that is not the
/// request's own.
inline constexpr std::string_view kNonFiniteLogits = "non_finite_logits";
inline constexpr std::string_view kServerError = "server_error";

/// Whether a completion is its prompt's first choice: a prompt counts once, whatever its choices.
bool counts_prompt(const PromptLine& prompt, const Completion& completion);

/// The row of a finished request, without '\n', from the completions of all its choices, in any
/// order. Throws RequestFault when it would be longer than `longest`, before that much memory is
/// needed, or when the logits of a completion were not finite (kNonFiniteLogits).
std::string completion_row(const PromptLine& prompt, std::span<const Completion> completions,
                           const RowOptions& options);

/// The row of a request that was refused, without '\n'.
std::string error_row(const PromptError& error);

}  // namespace weft
