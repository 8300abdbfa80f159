// Device memory that NCCL knows on all ranks of a communicator.
#pragma once

#include <span>
#include <vector>

#include "base/buffer.h"
#include "comm/group.h"
#include "cuda/gpu_ops.h"
#include "cuda/nccl_comm.h"
#include "cuda/platform/pieces.h"

namespace weft {

/// Memory from ncclMemAlloc, each piece a symmetric window: collectives whose buffers all lie in
/// such windows may use NCCL's kernels for them. Taking is collective over the communicator's
/// ranks. What is given back stays taken until the end: windows end with their communicator, so
/// that no rank waits for one that has failed.
class NcclMemory final : public Memory {
 public:
  /// `group` has the ranks of `comm`, for messages of hosts. `api` and `ops` must outlive it; the
  /// communicator must end before it.
  NcclMemory(const NcclApi& api, NcclComm& comm, Group& group, GpuOps& ops)
      : api_(api), comm_(comm), group_(group), ops_(ops) {}
  ~NcclMemory() override;

  /// As `GpuOps::owns`.
  [[nodiscard]] bool owns(std::span<const std::byte> bytes) const { return pieces_.hold(bytes); }

 private:
  Bytes most_of(Bytes bytes);
  void* take(Bytes bytes) override;
  void give(void* data, Bytes bytes) noexcept override;

  const NcclApi& api_;
  NcclComm& comm_;
  Group& group_;
  GpuOps& ops_;
  Pieces pieces_;
  std::vector<void*> taken_;
};

}  // namespace weft
