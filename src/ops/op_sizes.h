// How much memory operators ask for.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "base/types.h"
#include "ops/matrix.h"

namespace weft {

/// How much memory the operators of a kind of processor ask for: known without the processor.
class OpSizes {
 public:
  virtual ~OpSizes() = default;

  /// At most what the operators take from `memory()` for themselves, as long as no call has more
  /// than `max_rows` rows, `max_columns` input features and heads wider than `head_dim`.
  [[nodiscard]] virtual Bytes workspace_bytes(std::int64_t max_rows, std::int64_t max_columns,
                                              std::int64_t head_dim) const = 0;
  /// Bytes that a packed matrix takes.
  [[nodiscard]] virtual Bytes matrix_bytes(const MatrixShape& shape) const = 0;
  /// At most what a recorder takes, beside `memory()`, for steps of that many sub-layers.
  [[nodiscard]] virtual Bytes recorder_bytes(std::int64_t /*sublayers*/) const { return 0; }
  /// Bytes of one block (of one layer).
  [[nodiscard]] virtual Bytes kv_block_bytes(std::int64_t heads, std::int64_t head_dim,
                                             std::int64_t block_tokens, DType dtype) const = 0;
  /// Bytes that `Ops::sampler` works in, for up to that many rows of `columns` logits; 0 where
  /// there is none.
  [[nodiscard]] virtual Bytes sampling_bytes(std::int64_t /*max_rows*/,
                                             std::int64_t /*columns*/) const {
    return 0;
  }
};

}  // namespace weft
