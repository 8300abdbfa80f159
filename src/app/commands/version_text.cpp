#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include "app/commands/commands.h"
#include "base/build_id.h"
#include "base/error.h"
#include "base/version.h"
#include "cuda/devices.h"
#include "ops/make_cpu_ops.h"

namespace weft {
namespace {

/// "; NVIDIA H200" for each GPU, as files of the kernel's driver tell: starting CUDA may take
/// seconds.
std::string installed_gpus() {
  std::string text;
  std::error_code none;
  for (const auto& gpu : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", none)) {
    std::ifstream information(gpu.path() / "information");
    std::string label;
    std::string model;
    if (information >> label >> std::ws && std::getline(information, model)) text += "; " + model;
  }
  return text;
}

std::string gpu_text() {
  if (cuda_toolkit().empty()) return "not in this build";
  return fmt::format("toolkit {}{}", cuda_toolkit(), installed_gpus());
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
