// Several sp ranks with caches of their own, and several steps in flight.
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "engine/step_budget.h"
#include "scheduler_testing.h"

namespace weft {
namespace {

SchedulerLimits with_sp(SchedulerLimits limits, int sp, std::int64_t sp_threshold) {
  limits.sp = sp;
  limits.sp_threshold = sp_threshold;
  return limits;
}

SchedulerLimits with_batches(SchedulerLimits limits, int batches) {
  limits.batches = batches;
  return limits;
}

TEST_CASE("a step's room is counted on every rank", "[scheduler]") {
  StepBudget room({{10, 3, 3}, {7, 3, 3}});
  CHECK(room.rows(0, false) == 10);
  CHECK(room.rows(1, false) == 7);
  CHECK(room.rows(0, true) == 14);
  room.take(0, true, 5);  // rank 0 has one run of two rows and one of one
  CHECK(room.rows(0, false) == 7);
  CHECK(room.rows(1, false) == 5);
  room.take(1, false, 5);
  CHECK(room.rows(1, false) == 0);
  CHECK(room.rows(0, true) == 0);
  CHECK_FALSE(room.full());
  room.take(0, false, 1);
  CHECK(room.rows(0, false) == 6);
  room.take(0, false, 1);
  CHECK(room.rows(0, false) == 0);  // three slices
  CHECK(room.full());
  StepBudget turns({{10, 3, 1}, {7, 3, 2}});
  turns.take(0, true, 2);
  CHECK(turns.rows(0, true) == 0);
  CHECK(turns.rows(1, true) == 12);
}

TEST_CASE("sequences have a home, long prompts the whole group", "[scheduler]") {
  struct Case {
    const char* what;
    SchedulerLimits limits;
    std::vector<Plan> plans;
    std::vector<std::string> steps;
    std::int64_t preemptions = 0;
  };
  const std::vector<Case> cases = {
      {"the rank with most room, the lower one of two",
       with_sp(limits(8, 4, 0, 4, 8), 2, 100),
       {{5, 6}, {3, 4}, {3, 4}, {1, 2}},
       {"0@0[0,5)* 1@1[0,3)* 2@1[0,3)* 3@0[0,1)*"}},
      {"every rank has rows of its own",
       with_sp(limits(4, 4, 0, 4, 8), 2, 100),
       {{4, 6}, {3, 5}, {4, 5}},
       {"0@0[0,4)* 1@1[0,3)* 2@1[0,1)", "0@0[4,5)* 1@1[3,4)* 2@1[1,4)*"}},
      {"places are counted on each rank",
       with_sp(limits(8, 1, 0, 4, 8), 3, 100),
       {{1, 3}, {1, 2}, {1, 2}, {1, 2}},
       {"0@0[0,1)* 1@1[0,1)* 2@2[0,1)*", "0@0[1,2)* 3@1[0,1)*"}},
      {"a long prompt takes rows of all ranks and decodes at home",
       with_sp(limits(4, 4, 0, 4, 8), 2, 10),
       {{11, 13}, {2, 3}},
       {"0@0+[0,8)", "0@0+[8,11)* 1@1[0,2)*", "0@0[11,12)*"}},
      {"a chunk is of the whole prompt",
       with_sp(limits(8, 4, 6, 4, 8), 2, 10),
       {{11, 12}, {3, 4}},
       {"0@0+[0,6) 1@1[0,3)*", "0@0+[6,11)*"}},
      {"a long prompt waits until all ranks have its pages",
       with_sp(limits(64, 4, 0, 4, 4), 2, 10),
       {{8, 10}, {12, 13}},
       {"0@0[0,8)*", "0@0[8,9)*", "1@0+[0,12)*"}},
      // 0 ends at home 0 with the second block; 1 is shared and has blocks on both ranks.
      {"a decode may throw out a shared prompt, which may come back elsewhere",
       with_sp(limits(3, 4, 0, 2, 7), 2, 10),
       {{1, 4}, {12, 13}},
       {"0@0[0,1)* 1@1+[0,4)", "0@0[1,2)* 1@1+[4,8)", "0@0[2,3)*", "1@0+[0,6)", "1@0+[6,12)*"},
       1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    Driver driver(c.limits);
    CHECK(steps_of(driver, c.plans) == c.steps);
    CHECK(driver.scheduler.preemptions() == c.preemptions);
    CHECK(driver.scheduler.idle());
    for (int rank = 0; rank < c.limits.sp; ++rank) {
      CHECK(driver.scheduler.available(rank) == c.limits.kv_blocks);
    }
  }
}

TEST_CASE("a shared prompt has blocks everywhere until its end", "[scheduler]") {
  Driver driver(with_sp(limits(4, 4, 0, 4, 8), 2, 10));
  driver.add({11, 14});
  const Scheduler& scheduler = driver.scheduler;
  driver.step();
  for (const int rank : {0, 1}) {
    CHECK(scheduler.blocks_of(0, rank) == std::vector<BlockId>{0, 1, 2});
    CHECK(scheduler.available(rank) == 5);
  }
  driver.step();
  CHECK(scheduler.blocks_of(0, 0).size() == 3);
  CHECK(scheduler.blocks_of(0, 1).empty());
  CHECK(scheduler.available(1) == 8);
}

TEST_CASE("a shared prompt takes over what all ranks have", "[scheduler][prefix]") {
  Driver driver(with_sp(limits(64, 4, 0, 4, 20), 2, 13));
  CHECK(steps_of(driver, {{14, 15, "abc"}}) == std::vector<std::string>{"0@0+[0,14)*"});
  // Both ranks have "abc"; rank 0 has had more room ever since.
  driver.add({14, 15, "abd"});
  CHECK(driver.step() == "1@0+[8,14)*");
  driver.add({9, 10, "xy"});  // at one home only
  CHECK(driver.step() == "2@0[0,9)*");
  driver.add({14, 15, "xyz"});
  CHECK(driver.step() == "3@0+[0,14)*");
  driver.add({10, 11, "xy"});
  CHECK(driver.step() == "4@0[8,10)*");
  CHECK(driver.scheduler.prefix_tokens_taken_over() == 16);
}

TEST_CASE("a shared prompt waits only for what all ranks will have", "[scheduler][prefix]") {
  SchedulerLimits limits_ = with_sp(limits(64, 4, 4, 4, 20), 2, 13);
  Driver shared(limits_);
  shared.add({14, 15, "abc"});
  shared.add({14, 15, "abd"});
  CHECK(shared.step() == "0@0+[0,4)");
  CHECK(shared.step() == "0@0+[4,8)");
  CHECK(shared.step() == "0@0+[8,12) 1@1+[8,12)");
  Driver alone(limits_);
  alone.add({9, 10, "ab"});
  alone.add({14, 15, "abd"});
  CHECK(alone.step() == "0@0[0,4) 1@1+[0,4)");
}

TEST_CASE("steps in flight take their share of the sequences", "[scheduler]") {
  Driver driver(with_batches(limits(64, 8, 0, 4, 40), 2));
  for (int i = 0; i < 5; ++i) driver.add({3, 6});
  Scheduler& scheduler = driver.scheduler;
  const auto first = scheduler.next();
  const auto second = scheduler.next();
  CHECK(describe(first) == "0[0,3)* 1[0,3)* 2[0,3)*");
  CHECK(describe(second) == "3[0,3)* 4[0,3)*");
  CHECK(scheduler.next().empty());  // two steps are in flight
  driver.complete(first);
  const auto third = scheduler.next();
  CHECK(describe(third) == "0[3,4)* 1[3,4)* 2[3,4)*");
  driver.complete(second);
  const auto fourth = scheduler.next();
  CHECK(describe(fourth) == "3[3,4)* 4[3,4)*");
  driver.complete(third);
  driver.complete(fourth);
  CHECK(describe(scheduler.next()) == "0[4,5)* 1[4,5)* 2[4,5)*");
}

TEST_CASE("what will not be admitted does not count", "[scheduler]") {
  struct Case {
    const char* what;
    SchedulerLimits limits;
    std::int64_t sequences;
    std::vector<std::string> steps;
  };
  const std::vector<Case> cases = {
      {"for want of sequences", limits(64, 8, 0, 4, 40), 2, {"0[0,3)*", "1[0,3)*"}},
      {"for want of places", limits(64, 4, 0, 4, 40), 9, {"0[0,3)* 1[0,3)*", "2[0,3)* 3[0,3)*"}},
      {"for want of pages", limits(64, 8, 0, 4, 3), 9, {"0[0,3)* 1[0,3)*", "2[0,3)*"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    Driver driver(with_batches(c.limits, 2));
    for (std::int64_t i = 0; i < c.sequences; ++i) driver.add({3, 5});
    std::vector<std::string> steps;
    for (int i = 0; i < 2; ++i) steps.push_back(describe(driver.scheduler.next()));
    CHECK(steps == c.steps);
  }
}

TEST_CASE("blocks of a sequence in flight are not taken", "[scheduler]") {
  // Four blocks of two tokens; 0 and 1 prefill in different steps.
  Driver driver(with_batches(limits(64, 8, 0, 2, 4), 2));
  driver.add({4, 7});
  driver.add({4, 7});
  Scheduler& scheduler = driver.scheduler;
  const auto first = scheduler.next();
  const auto second = scheduler.next();
  CHECK(describe(first) == "0[0,4)*");
  CHECK(describe(second) == "1[0,4)*");
  driver.complete(first);
  const std::vector<BlockId> kv_blocks = scheduler.blocks_of(1);
  CHECK(scheduler.next().empty());  // 0 needs a block, and 1 is in flight
  CHECK(scheduler.blocks_of(1) == kv_blocks);
  CHECK(scheduler.preemptions() == 0);
  driver.complete(second);
  CHECK(describe(scheduler.next()) == "0[4,5)*");  // now it takes one
  CHECK(scheduler.preemptions() == 1);
  CHECK(scheduler.waiting() == 1);
}

TEST_CASE("what is preempted starts nowhere in the same step", "[scheduler][async]") {
  // 2 loses its block at rank 0 to 0, while rank 1 is free again: its last token may not be known.
  Driver driver(with_sp(limits(16, 4, 0, 4, 2), 2, 100));
  CHECK(steps_of(driver, {{4, 8}, {4, 5}, {4, 6}}) ==
        std::vector<std::string>{"0@0[0,4)* 1@1[0,4)* 2@0[0,4)*", "0@0[4,5)*",
                                 "0@0[5,6)* 2@1[0,5)*", "0@0[6,7)*"});
  CHECK(driver.scheduler.preemptions() == 1);
}

TEST_CASE("only what is in flight can be completed", "[scheduler]") {
  Driver driver(with_batches(limits(64, 8, 2, 4, 8), 2));
  driver.add({3, 5});
  Scheduler& scheduler = driver.scheduler;
  const Slice slice = scheduler.next().at(0);
  CHECK_THROWS_AS(scheduler.complete({0, 0, 1, false}, false), Error);
  CHECK_THROWS_AS(scheduler.complete({0, 2, 2, false}, false), Error);
  scheduler.complete(slice, false);
  CHECK_THROWS_AS(scheduler.complete(slice, false), Error);
  CHECK_THROWS_AS(scheduler.blocks_of(0, 1), std::out_of_range);
}

}  // namespace
}  // namespace weft
