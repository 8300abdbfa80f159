// Tensors as kernels see them, and grids over their rows.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/tensor.h"
#include "cuda/kernels/values.h"
#include "cuda/platform/runtime.h"

namespace weft::WEFT_PLATFORM {

template <class T>
Rows<T> rows_of(const Tensor& tensor) {
  return {reinterpret_cast<T*>(tensor.data()), tensor.row_stride()};
}

template <class T>
const T* data_of(const Tensor& tensor) {
  return reinterpret_cast<const T*>(tensor.data());
}

/// Pieces of a row by rows; blocks take several rows when there are more than a grid can have.
inline Grid row_grid(std::int64_t columns, int threads, std::int64_t rows) {
  return {ceil_div(columns, threads), std::min<std::int64_t>(rows, 65535), 1};
}

/// Calls f with a value of the element type's C++ type.
template <class F>
void with_type(DType dtype, F f) {
  if (dtype == DType::bf16) {
    f(Bf16{});
  } else {
    f(float{});
  }
}

}  // namespace weft::WEFT_PLATFORM
