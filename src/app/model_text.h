// What a run opens of a model directory to turn texts into tokens: opened the same way by those who
// look before a run does.
#pragma once

#include <filesystem>
#include <memory>

#include "model/files/model_reader.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

/// The tokenizer of a model directory, its files checked against the manifest's digests; null when
/// it has none.
std::unique_ptr<Tokenizer> tokenizer_of(const ModelReader& reader);

/// The same of a model directory, or of any folder with tokenizer files, such as a checkpoint.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& directory);

/// Refuses a model whose tokenizer or chat template a run refuses, or whose template fails for one
/// message of a user, by the sentence that the run, or each row, would have. Throws UserError. What
/// a template refuses by a message of its own is its own affair.
void check_text(const ModelReader& reader);

/// The same of a folder that is not a model directory yet, such as a checkpoint; also of the end
/// tokens in its generation_config.json.
void check_text_of(const std::filesystem::path& directory);

}  // namespace weft
