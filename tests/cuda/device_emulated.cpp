#include "cuda/emulated/emulated_ops.h"
#include "device_under_test.h"

namespace weft::testing {

std::unique_ptr<GpuOps> make_device(int variant, bool sampling) {
  GpuOptions options = options_of(variant);
  options.sampling = sampling;
  return make_emulated_ops(options, variant == 1);
}

std::unique_ptr<GpuOps> make_device(const GpuOptions& options) {
  return make_emulated_ops(options, true);
}

std::unique_ptr<GpuOps> make_fast_device() {
  GpuOptions options;
  options.fast = true;
  return make_emulated_ops(options, true);
}

bool has_plain_products() { return true; }

void skip_without_device() {}

}  // namespace weft::testing
