#include "cuda/nccl_api.cuh"

#include <dlfcn.h>

#include <memory>

namespace weft {
namespace {

std::unique_ptr<NcclApi> load() {
  void* const library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  auto api = std::make_unique<NcclApi>();
  bool complete = true;
#define WEFT_NCCL_FIND(name)                                                       \
  api->name = reinterpret_cast<decltype(api->name)>(dlsym(library, "nccl" #name)); \
  complete = complete && api->name != nullptr;
  WEFT_NCCL_FUNCTIONS(WEFT_NCCL_FIND)
#undef WEFT_NCCL_FIND
  return complete ? std::move(api) : nullptr;
}

}  // namespace

const NcclApi* nccl_api() {
  static const std::unique_ptr<NcclApi> api = load();
  return api.get();
}

}  // namespace weft
