#include "cuda/emulated/emulated_ops.h"
#include "subject.h"

namespace weft::testing {

std::unique_ptr<GpuOps> make_subject(int variant) {
  EmulationOptions options;
  // Much work in pieces, little of it, or none for lack of room.
  if (variant == 0) options.multiprocessors = 1000;
  if (variant == 1) options.multiprocessors = 1;
  if (variant == 2) options.scratch = Bytes{64} << 10;
  options.guarded = variant == 1;
  return make_emulated_ops(options);
}

std::unique_ptr<GpuOps> make_fast_subject() {
  EmulationOptions options;
  options.guarded = true;
  options.fast = true;
  return make_emulated_ops(options);
}

bool has_plain_products() { return true; }

void skip_without_subject() {}

}  // namespace weft::testing
