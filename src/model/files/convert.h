// Hugging Face checkpoints to model directories.
#pragma once

#include <filesystem>

#include "model/model_options.h"

namespace weft {

/// Writes the model directory `model_dir` from the checkpoint in `hf_dir` (config.json and
/// safetensors, one file or several with an index). The element type is `options.dtype`, else the
/// checkpoint's own; where its tensors have several, config.json's. f32 to bf16 rounds to nearest,
/// ties to even; bf16 to f32 is exact; F16 is converted only when `options.dtype` says to what.
///
/// Throws UserError that names the tensor, and expected and found shapes, for missing, unknown or
/// ill-shaped tensors; see model/files/checkpoint_tensors.h for what may differ.
void convert(const std::filesystem::path& hf_dir, const std::filesystem::path& model_dir,
             const ModelOptions& options);

}  // namespace weft
