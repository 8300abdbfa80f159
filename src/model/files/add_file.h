// Files that a model directory gets after it was written.
#pragma once

#include <filesystem>

#include "base/digest.h"

namespace weft {

/// Lists `file` in the manifest of `model_dir`: one of the files that a run reads beside the
/// weights
/// (`is_tokenizer_file`). A file from elsewhere is copied into the directory first, in place of one
/// of its name. Returns the model's new identity, which jobs that have begun do not go on with.
/// Throws UserError when the directory is no model or a run would not read a file of that name.
Digest add_file(const std::filesystem::path& model_dir, const std::filesystem::path& file);

}  // namespace weft
