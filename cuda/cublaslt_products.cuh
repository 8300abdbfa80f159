// Products by cuBLASLt.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "cuda/ops/library_products.h"

namespace weft {

/// Products on `stream`. Which of the library's kernels computes a product is timed once for each
/// (rows rounded up to a power of two, outputs, depth) and kept. Throws UserError when the library
/// is not found.
std::unique_ptr<LibraryProducts> make_cublaslt_products(cudaStream_t stream);

}  // namespace weft
