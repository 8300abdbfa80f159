// Writes a model directory from any source of weights, a few MiB at a time.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>

#include "base/dtype.h"
#include "model/model_options.h"
#include "model/tensors.h"

namespace weft {

/// Where the weights come from.
class TensorSource {
 public:
  TensorSource() = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;
  virtual ~TensorSource() = default;

  /// Rows `rows` of a whole tensor, row-major, already in the model's element type; `out` has
  /// exactly their size. Each tensor is read once, front to back.
  virtual void read_rows(const TensorSpec& tensor, Range rows, std::span<std::byte> out) = 0;
};

/// What a model directory is made from.
struct ModelSource {
  const nlohmann::json& config;  ///< the Hugging Face config.json
  DType dtype = DType::bf16;     ///< that `weights` delivers
  TensorSource& weights;
  std::filesystem::path tokenizer_directory;  ///< tokenizer files lie here; empty: there are none
};

/// Writes `model_dir`: everything goes into `model_dir`.partial first, which is renamed when it is
/// complete and on the disk. Uses some tens of MiB of memory, whatever the model's size. Throws
/// UserError when `model_dir` exists and is not an empty directory, an option is out of range, or a
/// weight is not a finite number.
void write_model(const ModelSource& source, const std::filesystem::path& model_dir,
                 const ModelOptions& options);

/// Throws the UserErrors that `write_model` would throw before it reads a tensor, so that a caller
/// can look before it opens a large checkpoint.
void check_writable(const std::filesystem::path& model_dir, const ModelOptions& options);

}  // namespace weft
