#include "cuda/cublaslt_api.cuh"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <memory>

namespace weft {
namespace {

std::unique_ptr<CublasLtApi> load() {
  const std::string name = fmt::format("libcublasLt.so.{}", CUDART_VERSION / 1000);
  void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  auto api = std::make_unique<CublasLtApi>();
  bool complete = true;
#define WEFT_CUBLASLT_FIND(name)                                                       \
  api->name = reinterpret_cast<decltype(api->name)>(dlsym(library, "cublasLt" #name)); \
  complete = complete && api->name != nullptr;
  WEFT_CUBLASLT_FUNCTIONS(WEFT_CUBLASLT_FIND)
#undef WEFT_CUBLASLT_FIND
  return complete ? std::move(api) : nullptr;
}

}  // namespace

const CublasLtApi* cublaslt_api() {
  static const std::unique_ptr<CublasLtApi> api = load();
  return api.get();
}

}  // namespace weft
