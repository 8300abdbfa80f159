// Seeded random weights of any shape: a model directory without a download.
//
// The weights are a pure function of seed, tensor name and shape, so another program can make them
// again. All integers are unsigned and wrap; all floats are IEEE binary32 (f32), every operation
// rounded to nearest even, none fused.
//
//   hash(name)  FNV-1a, 64 bits: h = 0xcbf29ce484222325; for each byte b of the name (its Hugging
//               Face name, for example "model.layers.0.mlp.up_proj.weight"):
//               h = (h xor b) * 0x100000001b3   (mod 2^64)
//               An expert's matrices are tensors of their own here
//               ("model.layers.0.mlp.experts.3.up_proj.weight"), as in Hugging Face's files,
//               although a model directory stacks them.
//   key         hash(name) + seed * 0x9E3779B97F4A7C15   (mod 2^64)
//   word(i)     of element i = row * columns + column, in the whole (uncut) tensor:
//               Philox4x32-10 with key words (key mod 2^32, key / 2^32) and counter words
//               (n mod 2^32, n / 2^32, 0, 0), n = floor(i / 4); output word number i mod 4
//   u(i)        f32(word(i) >> 8) * 2^-24        in [0, 1), exact
//   v(i)        2 * u(i) - 1                     in [-1, 1), exact
//   value(i)    by kind of tensor, told by the name:
//               model.embed_tokens.weight        v
//               …norm.weight (all norms)         1 + f32(0.1) * v     two roundings: product, sum
//               ….bias                           f32(0.1) * v
//               every other (a [rows, columns] matrix, lm_head.weight too)
//                                                scale * v, scale = f32(sqrt(3.0) / sqrt(columns)),
//                                                computed in binary64, then rounded to f32
//   stored      f32 as it is; bf16: rounded to nearest, ties to even
//
// So a matrix keeps the variance of its input at about one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/dtype.h"
#include "model/model_options.h"
#include "model/tensors.h"

namespace weft {

/// The Philox key of a tensor's weights.
std::uint64_t synth_key(std::uint64_t seed, std::string_view tensor_name);

/// Rows `rows` of a synthetic tensor (of stacked experts too), row-major, in `dtype` (bf16 or f32);
/// `out` has exactly rows.size() * columns elements.
void synth_rows(const TensorSpec& tensor, std::uint64_t seed, Range rows, DType dtype,
                std::span<std::byte> out);

/// Writes the model directory `model_dir` with random weights of the shape in `config_json`.
/// Throws UserError for a bad config, an existing non-empty directory, or options out of range.
void synth(const std::filesystem::path& config_json, const std::filesystem::path& model_dir,
           const ModelOptions& options);

}  // namespace weft
