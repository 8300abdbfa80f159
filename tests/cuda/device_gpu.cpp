#include <fmt/format.h>

#include <cstdlib>

#include "cuda/devices.h"
#include "device_under_test.h"

namespace weft::testing {

std::unique_ptr<GpuOps> make_device(int variant, bool sampling) {
  GpuOptions options = options_of(variant);
  options.sampling = sampling;
  return make_gpu_ops(options);
}

std::unique_ptr<GpuOps> make_device(const GpuOptions& options) { return make_gpu_ops(options); }

std::unique_ptr<GpuOps> make_fast_device() {
  GpuOptions options;
  options.fast = true;
  return make_gpu_ops(options);
}

bool has_plain_products() { return false; }

void skip_without_device() {
  if (!gpu_devices().empty()) return;
  fmt::print("skipped: there is no GPU here\n");
  std::exit(0);
}

}  // namespace weft::testing
