// A non-owning view of a dense array.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/dtype.h"
#include "base/error.h"
#include "base/types.h"

namespace weft {

/// A view of a row-major array of up to four dimensions: pointer, element type, shape, and the
/// stride of the first dimension in elements (all further dimensions are contiguous). It owns
/// nothing; the memory may be a device's, in which case `as` must not be dereferenced by the host.
class Tensor {
 public:
  Tensor() = default;

  /// A contiguous view of `data` with the given shape.
  Tensor(void* data, DType dtype, std::initializer_list<std::int64_t> shape)
      : data_(static_cast<std::byte*>(data)), dtype_(dtype), dims_(static_cast<int>(shape.size())) {
    require(shape.size() >= 1 && shape.size() <= 4, "a tensor has 1 to 4 dimensions");
    std::size_t i = 0;
    for (const std::int64_t extent : shape) shape_[i++] = extent;
    row_stride_ = row_elements();
  }

  [[nodiscard]] bool defined() const { return data_ != nullptr; }
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] int dims() const { return dims_; }

  /// Extent of dimension `i`; 1 beyond the last dimension.
  [[nodiscard]] std::int64_t extent(int i) const { return shape_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] std::int64_t rows() const { return shape_[0]; }
  /// Elements from one row to the next.
  [[nodiscard]] std::int64_t row_stride() const { return row_stride_; }
  /// Elements of one row: the product of all extents but the first.
  [[nodiscard]] std::int64_t row_elements() const { return shape_[1] * shape_[2] * shape_[3]; }
  [[nodiscard]] std::int64_t elements() const { return rows() * row_elements(); }
  [[nodiscard]] bool contiguous() const { return row_stride_ == row_elements() || rows() <= 1; }
  /// Bytes of a contiguous tensor of this shape.
  [[nodiscard]] Bytes bytes() const { return static_cast<Bytes>(elements()) * size_of(dtype_); }

  /// Rows [begin, end) of the same memory.
  [[nodiscard]] Tensor slice(std::int64_t begin, std::int64_t end) const {
    require(begin >= 0 && begin <= end && end <= rows(), "rows {}..{} of {}", begin, end, rows());
    Tensor part = *this;
    part.data_ += static_cast<Bytes>(begin * row_stride_) * size_of(dtype_);
    part.shape_[0] = end - begin;
    return part;
  }

  /// Columns [begin, end) of a matrix, of the same memory.
  [[nodiscard]] Tensor columns(std::int64_t begin, std::int64_t end) const {
    require(dims_ == 2 && begin >= 0 && begin <= end && end <= shape_[1], "columns {}..{} of {}",
            begin, end, shape_[1]);
    Tensor part = *this;
    part.data_ += static_cast<Bytes>(begin) * size_of(dtype_);
    part.shape_[1] = end - begin;
    return part;
  }

  /// Typed pointer to the first element. T must have the element's size (std::uint16_t for bf16).
  template <class T>
  [[nodiscard]] T* as() const {
    require(sizeof(T) == size_of(dtype_), "a {} tensor read with {}-byte elements", name(dtype_),
            sizeof(T));
    return reinterpret_cast<T*>(data_);
  }

  /// All elements of a contiguous tensor.
  template <class T>
  [[nodiscard]] std::span<T> span() const {
    require(contiguous(), "a strided tensor has no span");
    return {as<T>(), static_cast<std::size_t>(elements())};
  }

 private:
  std::byte* data_ = nullptr;
  DType dtype_ = DType::f32;
  int dims_ = 1;
  std::array<std::int64_t, 4> shape_{0, 1, 1, 1};
  std::int64_t row_stride_ = 0;
};

}  // namespace weft
