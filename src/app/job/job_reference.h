// What is told about a job's keys, all of it from their table (job.h).
#pragma once

#include <string>
#include <string_view>

namespace weft {

/// The table as rows of Markdown (key, type, default, meaning), for docs/reference/job-file.md.
std::string job_keys_markdown();

/// A line for each key: name, type, default.
std::string job_keys_text();

/// All that is known of a key, or of all keys of a section: type, default, meaning. The last part
/// of a key will do. Empty when there is no such key.
std::string job_key_help(std::string_view key);

/// "; did you mean 'engine.isa'?", or which keys there are.
std::string job_key_hint(std::string_view key);

/// The JSON Schema (draft 2020-12) of a job file, for editors.
std::string job_schema();

}  // namespace weft
