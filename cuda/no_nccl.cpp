// Stands in for the groups over NCCL where its header is absent.
#include "base/error.h"
#include "cuda/nccl_group.h"

namespace weft {

std::string nccl_release() { return {}; }

bool nccl_has_windows() { return false; }

std::unique_ptr<Group> make_nccl_group(std::unique_ptr<Group> /*group*/, GpuOps& /*ops*/,
                                       double /*deadline_seconds*/, std::string /*who*/,
                                       bool /*symmetric*/) {
  fail("this program was built without NCCL");
}

}  // namespace weft
