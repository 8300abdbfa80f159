// Checks every byte of a model directory.
#pragma once

#include <cstddef>
#include <filesystem>

#include "base/digest.h"
#include "base/types.h"

namespace weft {

/// What was found to be right.
struct VerifySummary {
  std::size_t tensors = 0;
  std::size_t shard_files = 0;
  std::size_t tokenizer_files = 0;
  Bytes bytes = 0;  ///< of weights
  Digest model;     ///< the model's identity
};

/// Reads the whole directory: manifest, metadata, shapes, every digest of weights and tokenizer
/// files, and whether every weight is a finite number. Throws UserError with one line for each
/// fault (the first 20), naming file, dataset and byte, or tensor and index.
VerifySummary verify(const std::filesystem::path& directory);

}  // namespace weft
