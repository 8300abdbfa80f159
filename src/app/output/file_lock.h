// Advisory locks between processes.
#pragma once

#include <chrono>

#include "io/file.h"

namespace weft {

/// Takes an exclusive lock (flock) on an open file, waiting at most `patience`; false when another
/// process keeps it. The lock goes when the file is closed or the process ends in any way. On a
/// file system without locks a note is printed and the answer is true. Throws Error.
bool lock_exclusively(const File& file, std::chrono::milliseconds patience = {});

}  // namespace weft
