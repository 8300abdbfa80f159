// What `weft plan` finds out about a job's prompt file.
#pragma once

#include <cstdint>
#include <string>

#include "app/job/job.h"

namespace weft {

/// Reads the prompt file as a run does before its first step, and takes its first requests as far
/// as their tokens, for a model of `vocab` tokens. Returns a line that says what was found; a file
/// that is not there yet is no mistake. Throws UserError for a file that a run refuses, and where
/// each of the requests that were tried would get an error row, although the model has a tokenizer:
/// with the message of the first one.
std::string check_prompts(const Job& job, std::int64_t vocab);

}  // namespace weft
