#include <fmt/format.h>

#include <string_view>

#include "app/commands.h"
#include "base/version.h"

namespace weft {

std::string version_text() {
  const auto ops = make_cpu_ops(1);
  const std::string_view found = ops->description();  // "cpu avx512 x 1 thread"
  return fmt::format("weft {}\nnumerics contract {}\nbackends: cpu\nthis machine: {}", kVersion,
                     kContractVersion, found.substr(0, found.find(" x ")));
}

}  // namespace weft
