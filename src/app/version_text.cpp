#include <fmt/format.h>

#include "app/commands.h"
#include "base/version.h"

namespace weft {

std::string version_text() {
  return fmt::format("weft {}\nnumerics contract {}\nbackends: cpu\nthis machine: {}", kVersion,
                     kContractVersion, make_cpu_ops(1)->description());
}

}  // namespace weft
