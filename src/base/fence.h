// Until when a processor that works on after a call has returned reads what it was given.
#pragma once

#include <functional>
#include <memory>

namespace weft {

/// A point in the work of such a processor. One thread at a time; it must not outlive what made it.
class Fence {
 public:
  virtual ~Fence() = default;

  /// From now on stands behind everything that was asked for so far, by any thread.
  virtual void set() = 0;
  /// Returns when all that was asked for before the latest `set` is done; at once where there was
  /// none. Throws Error where that work has failed.
  virtual void wait() = 0;
};

/// Makes a fence, or nothing where calls return when they have read what they were given.
using FenceMaker = std::function<std::unique_ptr<Fence>()>;

}  // namespace weft
