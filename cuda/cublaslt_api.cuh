// cuBLASLt, found at run time: a program that does not use it needs no library of 700 MB.
#pragma once

#include <cublasLt.h>

namespace weft {

/// A member for each function, of its type.
struct CublasLtApi {
#define WEFT_CUBLASLT_FUNCTIONS(X) \
  X(Create)                        \
  X(Destroy)                       \
  X(MatmulDescCreate)              \
  X(MatmulDescSetAttribute)        \
  X(MatmulDescDestroy)             \
  X(MatrixLayoutCreate)            \
  X(MatrixLayoutDestroy)           \
  X(MatmulPreferenceCreate)        \
  X(MatmulPreferenceSetAttribute)  \
  X(MatmulPreferenceDestroy)       \
  X(MatmulAlgoGetHeuristic)        \
  X(MatmulAlgoCheck)               \
  X(Matmul)
#define WEFT_CUBLASLT_MEMBER(name) decltype(&cublasLt##name) name = nullptr;
  WEFT_CUBLASLT_FUNCTIONS(WEFT_CUBLASLT_MEMBER)
#undef WEFT_CUBLASLT_MEMBER
};

/// The library of the toolkit's major version that the program was built with, loaded at the first
/// call; null where it cannot be found or lacks a function.
const CublasLtApi* cublaslt_api();

}  // namespace weft
