// How the products on CPUs are divided: what the plain and the expert product have in common.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/cpu/cpu_kernels.h"
#include "ops/matrix.h"

namespace weft {

/// Rows that one pass takes, so that scratch memory stays bounded: multiples of every tile height,
/// fewer when K is long.
inline constexpr std::int64_t kPassRows = 504;
inline constexpr std::int64_t kPassFloats = std::int64_t{16} << 20;

/// Rows of each pass when `rows` rows of `columns` input features are cut into even passes.
std::int64_t pass_rows(std::int64_t rows, std::int64_t columns);

/// The program of the segment tree of `cut`.
void plan_leaves(const KCut& cut, std::vector<LinearLeaf>& leaves);

/// Whether products with that program are of pairs: where there are kernels for them, of bf16, and
/// no pair belongs to two leaves.
bool takes_pairs(const CpuKernels& kernels, DType dtype, const std::vector<LinearLeaf>& leaves);

/// Floats that a row of `columns` elements takes in a row block.
inline std::int64_t packed_floats(std::int64_t columns, bool pairs) {
  return pairs ? ceil_div(columns, 2) : columns;
}

/// Stack entries that the program needs.
int slots_of(const std::vector<LinearLeaf>& leaves);

}  // namespace weft
