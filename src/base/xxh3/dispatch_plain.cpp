// Elsewhere xxHash has what the compiler's own target offers (NEON, VSX).
#include "base/xxh3/xxh3.h"

namespace weft::xxh3 {

Kernel fastest_kernel() { return hash_baseline; }

}  // namespace weft::xxh3
