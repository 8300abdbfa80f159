// Weights that are no numbers.
#pragma once

#include <cstddef>
#include <span>

#include "base/dtype.h"
#include "base/types.h"
#include "model/tensors.h"

namespace weft {

/// Refuses NaN and infinities among weights: `values` are rows `rows` and columns `columns` of a
/// tensor, row-major, bf16 or f32. Throws UserError with the tensor's name in the checkpoint, and
/// with row and column (the index alone where the tensor has one extent).
void check_finite(const TensorSpec& tensor, Range rows, Range columns, DType dtype,
                  std::span<const std::byte> values);

}  // namespace weft
