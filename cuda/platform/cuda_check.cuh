// Errors of CUDA's C interfaces as exceptions, and owners of what they make.
#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include "base/error.h"

namespace weft {

/// Throws Error naming the operation and the place unless `status` is success.
inline void check_cuda(cudaError_t status, const char* operation, const char* file, int line) {
  if (status == cudaSuccess) return;
  fail("{} failed: {} ({}), at {}:{}", operation, cudaGetErrorString(status),
       cudaGetErrorName(status), file, line);
}

/// Checks a call of the CUDA runtime.
#define WEFT_CUDA(call) ::weft::check_cuda((call), #call, __FILE__, __LINE__)

/// Owns something that a C interface makes and destroys by a pointer-like value.
template <class T, auto Destroy>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T value) : value_(value) {}
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (value_ != T{}) (void)Destroy(value_);
  }

  [[nodiscard]] T get() const { return value_; }
  /// Where a creating function puts the value.
  [[nodiscard]] T* out() { return &value_; }

 private:
  T value_{};
};

using Stream = Handle<cudaStream_t, cudaStreamDestroy>;
using Event = Handle<cudaEvent_t, cudaEventDestroy>;
using Graph = Handle<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = Handle<cudaGraphExec_t, cudaGraphExecDestroy>;

}  // namespace weft
