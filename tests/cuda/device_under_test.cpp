#include "device_under_test.h"

namespace weft::testing {

GpuOptions options_of(int variant) {
  GpuOptions options;
  options.scratch = Bytes{8} << 20;
  // Much work in pieces, little of it, or none for lack of room; a block's memory as on GPUs of
  // compute capability 8.9, and the least that products need, with room for few sums in scratch.
  // The fourth starts kernels one by one. The first records no steps, the third keeps one
  // recording.
  options.multiprocessors = variant == 0 ? 1000 : variant == 2 ? 4 : 1;
  options.graphs = variant != 0;
  if (variant == 2) {
    options.scratch = Bytes{64} << 10;
    options.most_graphs = 1;
  }
  if (variant == 3) {
    options.shared = Bytes{99} << 10;
    options.early_launches = false;
  }
  if (variant == 4) {
    options.shared = Bytes{64} << 10;
    options.scratch = Bytes{256} << 10;
  }
  return options;
}

}  // namespace weft::testing
