// weft_cuda_lab variants | segments | operators | sampling
#include <fmt/format.h>

#include <exception>
#include <string_view>

#include "cuda/devices.h"
#include "lab.h"

int main(int argc, char** argv) {
  using namespace weft;
  const std::string_view what = argc == 2 ? argv[1] : "";
  if (gpu_devices().empty()) {
    fmt::print("skipped: there is no GPU here\n");
    return 0;
  }
  try {
    if (what == "variants") lab::compare_variants();
    if (what == "segments") lab::compare_segments();
    if (what == "operators") lab::measure_operators();
    if (what == "sampling") lab::measure_sampling();
    if (what != "variants" && what != "segments" && what != "operators" && what != "sampling") {
      fmt::print(stderr, "weft_cuda_lab variants | segments | operators | sampling\n");
      return 2;
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft_cuda_lab: {}\n", error.what());
    return 1;
  }
  return 0;
}
