// Memory that there is none of: whose it was to be, and how much.
#pragma once

#include <new>
#include <string_view>

#include "base/error.h"
#include "base/types.h"

namespace weft {

/// Calls `allocate`, which takes about `bytes` bytes of host memory for `what`. Throws Error that
/// says so when there is not as much.
template <class Allocate>
auto allocating(std::string_view what, Bytes bytes, const Allocate& allocate) {
  try {
    return allocate();
  } catch (const std::bad_alloc&) {
    fail("out of host memory: no {} bytes for {}", bytes, what);
  }
}

}  // namespace weft
