// Continuous batching on one rank, step by step in tables.
#include "engine/scheduler.h"

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "scheduler_testing.h"

namespace weft {
namespace {

TEST_CASE("steps follow the rules", "[scheduler]") {
  struct Case {
    const char* what;
    SchedulerLimits limits;
    std::vector<Plan> plans;
    std::vector<std::string> steps;
    std::int64_t preemptions = 0;
  };
  const std::vector<Case> cases = {
      {"no sequences, no steps", limits(8, 4, 0, 4, 8), {}, {}},
      {"prefill, then decode", limits(8, 4, 0, 4, 8), {{3, 6}}, {"0[0,3)*", "0[3,4)*", "0[4,5)*"}},
      {"sequences share a step and end on their own",
       limits(8, 4, 0, 4, 8),
       {{3, 5}, {2, 3}, {1, 3}},
       {"0[0,3)* 1[0,2)* 2[0,1)*", "0[3,4)* 2[1,2)*"}},
      {"the budget cuts a prompt; decodes go before its rest",
       limits(4, 4, 0, 4, 8),
       {{2, 6}, {7, 8}},
       {"0[0,2)* 1[0,2)", "0[2,3)* 1[2,5)", "0[3,4)* 1[5,7)*", "0[4,5)*"}},
      {"a chunk size cuts a prompt though there is room",
       limits(16, 4, 3, 4, 8),
       {{7, 8}, {4, 5}},
       {"0[0,3) 1[0,3)", "0[3,6) 1[3,4)*", "0[6,7)*"}},
      {"max_sequences holds later ones back",
       limits(16, 2, 0, 4, 8),
       {{1, 2}, {1, 3}, {1, 2}, {1, 2}},
       {"0[0,1)* 1[0,1)*", "1[1,2)* 2[0,1)*", "3[0,1)*"}},
      {"a spent budget holds later ones back",
       limits(2, 8, 0, 4, 8),
       {{1, 3}, {1, 3}, {1, 2}},
       {"0[0,1)* 1[0,1)*", "0[1,2)* 1[1,2)*", "2[0,1)*"}},
      {"no later one overtakes a first that does not fit",
       limits(16, 4, 0, 4, 3),
       {{8, 9}, {8, 9}, {2, 3}},
       {"0[0,8)*", "1[0,8)* 2[0,2)*"}},
      {"a cut prompt has its pages from the start",
       limits(4, 4, 0, 4, 3),
       {{8, 9}, {5, 6}},
       {"0[0,4)", "0[4,8)*", "1[0,4)", "1[4,5)*"}},
      {"a prompt as long as the cache, a last token without a page",
       limits(16, 4, 0, 4, 2),
       {{8, 9}},
       {"0[0,8)*"}},
      // Two blocks of two tokens: at position 2 the older one needs the younger one's block. What
      // was preempted keeps its sampled token and is computed again from position 0.
      {"the youngest gives way and comes back when there is room",
       limits(8, 4, 0, 2, 2),
       {{2, 5}, {2, 4}},
       {"0[0,2)* 1[0,2)*", "0[2,3)*", "0[3,4)*", "1[0,3)*"},
       1},
      // Three blocks: 0 takes the third, and 1 has nobody to take from.
      {"the youngest keeps its pages and waits for one more",
       limits(8, 4, 0, 2, 3),
       {{2, 5}, {2, 4}},
       {"0[0,2)* 1[0,2)*", "0[2,3)*", "0[3,4)*", "1[2,3)*"}},
      // 0 throws out 3, then 1 throws out 2; both return before 4 and in their old order.
      {"several preempted return first and in order",
       limits(16, 8, 0, 2, 4),
       {{2, 5}, {2, 5}, {2, 4}, {2, 4}, {1, 2}},
       {"0[0,2)* 1[0,2)* 2[0,2)* 3[0,2)*", "0[2,3)* 1[2,3)*", "0[3,4)* 1[3,4)*", "2[0,3)* 3[0,3)*",
        "4[0,1)*"},
       2},
      {"a prompt preempted half-way starts over",
       limits(4, 4, 0, 1, 7),
       {{1, 4}, {6, 7}},
       {"0[0,1)* 1[0,3)", "0[1,2)*", "0[2,3)*", "1[0,4)", "1[4,6)*"},
       1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    Driver driver(c.limits);
    CHECK(steps_of(driver, c.plans) == c.steps);
    CHECK(driver.scheduler.preemptions() == c.preemptions);
    CHECK(driver.scheduler.idle());
    CHECK(driver.scheduler.available() == c.limits.kv_blocks);
  }
}

TEST_CASE("blocks follow positions and are freed at the end", "[scheduler]") {
  Scheduler scheduler(limits(8, 4, 0, 4, 4));
  scheduler.add(7, 5, 12);
  CHECK(scheduler.waiting() == 1);
  CHECK(scheduler.running() == 0);
  CHECK_THROWS_AS(scheduler.blocks_of(7), Error);
  std::vector<Slice> step = scheduler.next();
  CHECK(scheduler.waiting() == 0);
  CHECK(scheduler.running() == 1);
  CHECK(scheduler.blocks_of(7) == std::vector<BlockId>{0, 1});
  for (int token = 0; token < 3; ++token) {
    scheduler.complete(step.front(), false);
    step = scheduler.next();
    CHECK(scheduler.blocks_of(7) == std::vector<BlockId>{0, 1});
  }
  scheduler.complete(step.front(), false);
  step = scheduler.next();
  CHECK(describe(step) == "7[8,9)*");
  CHECK(scheduler.blocks_of(7) == std::vector<BlockId>{0, 1, 2});
  scheduler.complete(step.front(), true);
  CHECK(scheduler.idle());
  CHECK_THROWS_AS(scheduler.blocks_of(7), Error);
  scheduler.add(8, 16, 17);
  scheduler.next();
  CHECK(scheduler.blocks_of(8) == std::vector<BlockId>{0, 1, 2, 3});
}

TEST_CASE("the scheduler refuses what it cannot do", "[scheduler]") {
  for (const SchedulerLimits& wrong : {limits(0, 1, 0, 4, 4), limits(1, 0, 0, 4, 4),
                                       limits(1, 1, -1, 4, 4), limits(1, 1, 0, 0, 4)}) {
    CHECK_THROWS_AS(Scheduler(wrong), Error);
  }
  Scheduler scheduler(limits(8, 4, 0, 4, 2));
  CHECK(scheduler.fits(1));
  CHECK(scheduler.fits(9));
  CHECK_FALSE(scheduler.fits(10));
  CHECK_FALSE(Scheduler(limits(8, 4, 0, 4, 0)).fits(1));
  CHECK_THROWS_AS(scheduler.add(0, 0, 4), Error);
  CHECK_THROWS_AS(scheduler.add(0, 5, 4), Error);
  CHECK_THROWS_AS(scheduler.add(0, 1, 10), Error);
  CHECK_THROWS_AS(scheduler.add(0, 9, 9), Error);  // its prompt alone needs a third block
  CHECK_NOTHROW(scheduler.add(0, 8, 8));
  CHECK_THROWS_AS(scheduler.complete({0, 0, 8, true}, true), Error);  // still waiting
  const std::vector<Slice> step = scheduler.next();
  CHECK_THROWS_AS(scheduler.complete({1, 0, 1, true}, true), Error);
  scheduler.complete(step.front(), true);
  CHECK_THROWS_AS(scheduler.complete(step.front(), true), Error);
}

}  // namespace
}  // namespace weft
