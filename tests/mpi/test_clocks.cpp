// Clocks of ranks against each other, and what a timed group charges.
#include <cstdlib>
#include <vector>

#include "comm/control/clock_offset.h"
#include "comm/mpi_group.h"
#include "comm/session.h"
#include "comm/timed_group.h"
#include "unit/catch.h"

namespace weft::test {

TEST_CASE("ranks of one host have one clock", "[clocks]") {
  const auto world = make_world_group();
  const ClockOffset offset = measure_clock_offset(*world);
  const bool one_host = host_share(*world).ranks == world->size();
  if (world->rank() == 0) {
    CHECK(offset.nanoseconds == 0);
    CHECK(offset.uncertainty == 0);
  } else if (one_host) {
    CHECK(offset.uncertainty > 0);
    CHECK(std::abs(offset.nanoseconds) <= offset.uncertainty);
  }
}

TEST_CASE("a timed group charges communication, except to who waits", "[clocks]") {
  Tracer tracer;
  tracer.keep_spans(100);
  const auto group = make_timed_group(make_world_group(), tracer);
  std::vector<std::byte> all(static_cast<std::size_t>(group->size()));
  const std::byte mine{1};
  group->all_gather({&mine, 1}, all, equal_counts(*group, 1));
  CHECK(all == std::vector<std::byte>(all.size(), std::byte{1}));
  group->split(0)->barrier();
  {
    const Tracer::Scope scope(tracer, Phase::waiting);
    group->barrier();
  }
  REQUIRE(tracer.spans().size() == 3);
  CHECK(tracer.spans()[0].phase == Phase::communication);
  CHECK(tracer.spans()[1].phase == Phase::communication);
  CHECK(tracer.spans()[2].phase == Phase::waiting);
  CHECK(tracer.current() == Phase::other);
}

}  // namespace weft::test
