#include <fmt/format.h>

#include <string_view>

#include "app/commands/commands.h"
#include "base/build_id.h"
#include "base/error.h"
#include "base/version.h"
#include "cuda/devices.h"

namespace weft {
namespace {

std::string gpu_text() {
  if (cuda_toolkit().empty()) return "not in this build";
  std::string text = fmt::format("toolkit {}", cuda_toolkit());
  try {
    for (const GpuDevice& device : gpu_devices()) {
      text += fmt::format("; {} (compute capability {}.{}, {})", device.name, device.major,
                          device.minor, device.uuid);
    }
  } catch (const UserError& error) {
    text += fmt::format("; {}", error.what());
  }
  return text;
}

}  // namespace

std::string version_text() {
  const auto ops = make_cpu_ops(1);
  const std::string_view found = ops->description();  // "cpu avx512 x 1 thread"
  return fmt::format(
      "weft {}\nbuild {}\nnumerics contract {}\nbackends: {}\nthis machine: {}\n"
      "cuda: {}",
      kVersion, build_id(), kContractVersion, cuda_toolkit().empty() ? "cpu" : "cpu, cuda",
      found.substr(0, found.find(" x ")), gpu_text());
}

}  // namespace weft
