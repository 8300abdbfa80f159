#include "cuda/nccl_api.cuh"

#include <dlfcn.h>
#include <fmt/format.h>

#include <memory>
#include <utility>

#include "base/error.h"
#include "cuda/nccl_comm.h"
#include "cuda/nccl_group.h"

namespace weft {
namespace {

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
}

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
  find(library, "ncclMemAlloc", api->MemAlloc);
  find(library, "ncclMemFree", api->MemFree);
  find(library, "ncclCommWindowRegister", api->CommWindowRegister);
  return complete ? std::move(api) : nullptr;
}

}  // namespace

const NcclApi* nccl_api() {
  static const std::unique_ptr<NcclApi> api = load();
  return api.get();
}

std::string nccl_release() {
  int version = 0;
  if (nccl_api() == nullptr || nccl_api()->GetVersion(&version) != ncclSuccess) return {};
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

bool nccl_has_windows() { return nccl_api() != nullptr && nccl_api()->has_windows(); }

std::unique_ptr<Group> make_nccl_group(std::unique_ptr<Group> group, GpuOps& ops,
                                       double deadline_seconds, std::string who, bool symmetric) {
  const NcclApi* const api = nccl_api();
  if (api == nullptr) fail("libnccl.so.2 cannot be loaded: is its folder in LD_LIBRARY_PATH?");
  return make_nccl_group(std::move(group), ops,
                         NcclSetting{*api, make_stream_marks(ops.stream()), deadline_seconds,
                                     std::move(who), symmetric});
}

}  // namespace weft
