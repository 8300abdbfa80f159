// The functions of NCCL that we call, found at run time: the program starts where NCCL is missing.
#pragma once

#include <nccl.h>

#include <cstddef>

namespace weft {

/// One member for each function, of its type.
struct NcclApi {
#define WEFT_NCCL_FUNCTIONS(X) \
  X(GetVersion)                \
  X(GetUniqueId)               \
  X(CommInitRankConfig)        \
  X(CommGetAsyncError)         \
  X(CommSplit)                 \
  X(CommAbort)                 \
  X(CommFinalize)              \
  X(CommDestroy)               \
  X(GetErrorString)            \
  X(GetLastError)              \
  X(GroupStart)                \
  X(GroupEnd)                  \
  X(AllGather)                 \
  X(Broadcast)                 \
  X(Send)                      \
  X(Recv)
#define WEFT_NCCL_MEMBER(name) decltype(&nccl##name) name = nullptr;
  WEFT_NCCL_FUNCTIONS(WEFT_NCCL_MEMBER)
#undef WEFT_NCCL_MEMBER

  // Memory that all ranks of a communicator see, since NCCL 2.27; null where a library has not got
  // them. Headers may be older.
  ncclResult_t (*MemAlloc)(void** data, std::size_t bytes) = nullptr;
  ncclResult_t (*MemFree)(void* data) = nullptr;
  ncclResult_t (*CommWindowRegister)(ncclComm_t comm, void* data, std::size_t bytes, void** window,
                                     int flags) = nullptr;

  [[nodiscard]] bool has_windows() const {
    return MemAlloc != nullptr && MemFree != nullptr && CommWindowRegister != nullptr;
  }
};

/// The library libnccl.so.2, loaded at the first call; null where it cannot be found or lacks a
/// function.
const NcclApi* nccl_api();

}  // namespace weft
