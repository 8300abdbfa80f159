#include "subject.h"

namespace weft::testing {

GpuOptions options_of(int variant) {
  GpuOptions options;
  options.scratch = Bytes{8} << 20;
  // Much work in pieces, little of it, or none for lack of room.
  options.multiprocessors = variant == 0 ? 1000 : variant == 1 ? 1 : 4;
  if (variant == 2) options.scratch = Bytes{64} << 10;
  return options;
}

}  // namespace weft::testing
