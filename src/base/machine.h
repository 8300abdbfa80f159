// What this machine has.
#pragma once

#include <string>

#include "base/types.h"

namespace weft {

/// Cores that this process may run on (its affinity mask).
int available_cores();

/// The affinity mask as text: equal for processes that share the same cores.
std::string core_mask();

/// Seconds since this process was started, as the kernel counts them (in hundredths).
double process_age();

/// Bytes of memory that programs can still take without swapping: the kernel's estimate, or the
/// limit of the control group that this process is in, whichever is lower.
Bytes available_memory();

}  // namespace weft
