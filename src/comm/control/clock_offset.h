// How far the clocks of hosts are apart.
#pragma once

#include <cstdint>

#include "comm/group.h"

namespace weft {

/// To this rank's `Tracer::now` add `nanoseconds` for rank 0's. The true difference is within
/// `uncertainty` of it.
struct ClockOffset {
  std::int64_t nanoseconds = 0;
  std::int64_t uncertainty = 0;
};

/// Asks rank 0 for its time, several times; the answer with the shortest round trip counts, taken
/// as the middle of that trip (Cristian's algorithm), with half the trip as uncertainty. Every rank
/// must call it; rank 0 serves one after the other. Zero on rank 0.
ClockOffset measure_clock_offset(Group& world);

}  // namespace weft
