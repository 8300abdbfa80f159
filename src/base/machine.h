// What this machine has.
#pragma once

#include "base/types.h"

namespace weft {

/// Seconds since this process was started, as the kernel counts them (in hundredths).
double process_age();

/// Bytes of memory that programs can still take without swapping: the kernel's estimate, or the
/// limit of the control group that this process is in, whichever is lower.
Bytes available_memory();

}  // namespace weft
