// What `convert` and `synth` are told about the model directory that they write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/dtype.h"
#include "model/tensors.h"

namespace weft {

struct ModelOptions {
  /// Element type of the stored weights, bf16 or f32. Without it: convert takes the checkpoint's,
  /// synth the config's `dtype`/`torch_dtype`, else bf16.
  std::optional<DType> dtype;
  std::uint64_t seed = 0;      ///< synth only
  int tp = 1;                  ///< shard files per layer range, 1 … 64
  int pp = 1;                  ///< layer ranges, 1 … min(layers, 64)
  int ep = 1;                  ///< experts are spread over tp * ep files per layer range; 1 … 64
  SegmentCaps caps;            ///< powers of two; part of the numerics contract
  bool copy_tokenizer = true;  ///< copy the tokenizer files that lie beside the source
};

}  // namespace weft
