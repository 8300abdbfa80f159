// The clock of a processor that works behind the host's back.
#pragma once

#include <cstdint>
#include <vector>

namespace weft {

/// Tells when a processor has come by the marks that were set among the work asked of it.
class DeviceClock {
 public:
  virtual ~DeviceClock() = default;

  /// Marks the end of the work asked for so far.
  virtual void mark() = 0;
  /// Appends to `gaps`, for each further mark that the processor has come by, in order, the
  /// nanoseconds since the one before it (the first: 0). Does not wait for any.
  virtual void read(std::vector<std::int64_t>& gaps) = 0;
};

}  // namespace weft
