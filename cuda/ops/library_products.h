// Products of many rows by a library: what `numerics: fast` has in place of our own kernels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/types.h"

namespace weft {

/// out[r, n] = sum over k of x[r, k] * w[n, k], bf16 operands, f32 sums, in any order. Strides
/// count elements.
struct LibraryProduct {
  const std::uint16_t* x = nullptr;  ///< [rows, depth]
  std::int64_t x_stride = 0;
  const std::uint16_t* w = nullptr;  ///< [outputs, depth]
  std::int64_t w_stride = 0;
  std::int64_t rows = 0;
  std::int64_t outputs = 0;
  std::int64_t depth = 0;
  float* out = nullptr;  ///< [rows, outputs]
};

class LibraryProducts {
 public:
  virtual ~LibraryProducts() = default;

  /// Memory that `multiply` may be given for its own use.
  static constexpr Bytes kWorkspace = Bytes{32} << 20;

  /// Behind all earlier work of the operators' stream. `workspace` has at most kWorkspace bytes.
  virtual void multiply(const LibraryProduct& product, std::byte* workspace, Bytes bytes) = 0;
};

}  // namespace weft
