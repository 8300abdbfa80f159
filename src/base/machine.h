// What this machine has.
#pragma once

#include "base/types.h"

namespace weft {

/// Cores that this process may run on (its affinity mask).
int available_cores();

/// Bytes of memory that programs can still take without swapping: the kernel's estimate, or the
/// limit of the control group that this process is in, whichever is lower.
Bytes available_memory();

}  // namespace weft
