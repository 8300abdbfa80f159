// Prefix sharing: what is taken over, who waits for whom, what is evicted.
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "engine/prefix_hashes.h"
#include "engine/reserved_blocks.h"
#include "scheduler_testing.h"

namespace weft {
namespace {

TEST_CASE("a block's hash covers all tokens up to its end", "[prefix]") {
  const std::vector<TokenId> tokens = {1, 2, 3, 4, 1, 2, 3, 4, 5};
  const auto hashes = prefix_hashes(tokens, 2);
  REQUIRE(hashes.size() == 4);  // the fifth block is not full
  for (std::size_t a = 0; a < 4; ++a) {
    for (std::size_t b = a + 1; b < 4; ++b) CHECK_FALSE(hashes[a] == hashes[b]);
  }
  CHECK(prefix_hashes(tokens, 2) == hashes);
  CHECK(prefix_hashes(std::span(tokens).first(5), 2) ==
        std::vector<BlockHash>(hashes.begin(), hashes.begin() + 2));
  for (std::size_t changed = 0; changed < 8; ++changed) {
    std::vector<TokenId> others = tokens;
    others[changed] += 1 << 16;
    const auto other = prefix_hashes(others, 2);
    for (std::size_t kv_block = 0; kv_block < 4; ++kv_block) {
      CHECK((other[kv_block] == hashes[kv_block]) == (kv_block < changed / 2));
    }
  }
  CHECK(prefix_hashes(tokens, 10).empty());
  CHECK(prefix_hashes({}, 2).empty());
  CHECK(prefix_hashes(tokens, 9).size() == 1);
}

TEST_CASE("promises wake those who wait, in their order", "[prefix]") {
  ReservedBlocks kv_blocks;
  const BlockHash a = digest_of("a");
  CHECK_THROWS_AS(kv_blocks.await(a, 1), Error);
  CHECK_THROWS_AS(kv_blocks.settle(a), Error);
  kv_blocks.promise(a);
  kv_blocks.promise(a);
  for (const std::int64_t sequence : {5, 3, 4}) kv_blocks.await(a, sequence);
  CHECK(kv_blocks.settle(a) == std::vector<std::int64_t>{5, 3, 4});
  CHECK(kv_blocks.has(a));  // by the other one
  CHECK(kv_blocks.settle(a).empty());
  CHECK_FALSE(kv_blocks.has(a));
  CHECK(kv_blocks.empty());
}

TEST_CASE("full blocks of prompts are computed once", "[prefix]") {
  struct Case {
    const char* what;
    SchedulerLimits limits;
    std::vector<Plan> plans;
    std::vector<std::string> steps;
    std::int64_t looked_up;
    std::int64_t taken_over;
    std::int64_t preemptions = 0;
  };
  const std::vector<Case> cases = {
      {"copies wait for the first",
       limits(64, 8, 0, 4, 20),
       {{10, 11, "ab"}, {10, 11, "ab"}, {10, 11, "ab"}},
       {"0[0,10)*", "1[8,10)* 2[8,10)*"},
       24,
       16},
      {"the last token is computed though its page is known",
       limits(64, 8, 0, 4, 20),
       {{8, 9, "ab"}, {8, 9, "ab"}, {9, 10, "ab"}},
       {"0[0,8)*", "1[4,8)* 2[8,9)*"},
       16,
       12},
      {"only what is the same from the start on",
       limits(64, 8, 0, 4, 20),
       {{9, 10, "ab"}, {9, 10, "cb"}, {9, 10, "ac"}},
       {"0[0,9)* 1[0,9)*", "2[4,9)*"},
       24,
       4},
      {"others pass those who wait",
       limits(8, 8, 0, 4, 20),
       {{14, 15, "abc"}, {14, 15, "abc"}, {3, 5}},
       {"0[0,8)", "0[8,14)* 2[0,2)", "2[2,3)* 1[12,14)*", "2[3,4)*"},
       24,
       12},
      {"one waits for all that is coming, in however many steps",
       limits(4, 8, 0, 4, 20),
       {{13, 14, "abc"}, {13, 14, "abd"}},
       {"0[0,4)", "0[4,8)", "0[8,12)", "0[12,13)* 1[8,11)", "1[11,13)*"},
       24,
       8},
      {"no hashes, nothing shared",
       limits(64, 8, 0, 4, 20),
       {{10, 11, "ab"}, {10, 11}},
       {"0[0,10)* 1[0,10)*"},
       8,
       0},
      {"pages outlive their sequences until others need them",
       limits(64, 1, 0, 4, 3),
       {{10, 11, "ab"},
        {10, 11, "ab"},
        {5, 6, "x"},
        {10, 11, "ab"},
        {12, 13, "cde"},
        {10, 11, "ab"}},
       // The one free block and the cached block that was given back first, the later one of "ab",
       // go to 2; 3 still finds the first.
       {"0[0,10)*", "1[8,10)*", "2[0,5)*", "3[4,10)*", "4[0,12)*", "5[0,10)*"},
       8 + 8 + 4 + 8 + 8 + 8,
       8 + 4},
      // Two blocks of prompt each, the first in common; a decode needs the fourth block.
      {"who was preempted finds its own pages again",
       limits(64, 8, 0, 2, 5),
       {{4, 7, "ab"}, {4, 7, "ac"}},
       {"0[0,4)*", "0[4,5)* 1[2,4)*", "0[5,6)* 1[4,5)*", "1[5,6)*"},
       4,
       2},
      // 2 waits for "a" and "b"; when they are there it has no room, and 0 grows into "b".
      {"what is evicted before it is taken over is computed again",
       limits(64, 8, 3, 2, 4),
       {{1, 6}, {6, 7, "abc"}, {6, 7, "abd"}},
       {"0[0,1)* 1[0,3)", "0[1,2)* 1[3,6)*", "0[2,3)*", "0[3,4)*", "0[4,5)*", "2[2,5)", "2[5,6)*"},
       8,
       2},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    Driver driver(c.limits);
    CHECK(steps_of(driver, c.plans) == c.steps);
    CHECK(driver.scheduler.prefix_tokens_looked_up() == c.looked_up);
    CHECK(driver.scheduler.prefix_tokens_taken_over() == c.taken_over);
    CHECK(driver.scheduler.preemptions() == c.preemptions);
    CHECK(driver.scheduler.idle());
    CHECK(driver.scheduler.available() == c.limits.kv_blocks);
  }
}

TEST_CASE("shared blocks are the same blocks", "[prefix]") {
  Driver driver(limits(64, 8, 0, 4, 6));
  for (const std::int64_t length : {9, 10, 11}) driver.add({length, 14, "ab"});
  driver.step();
  driver.step();
  const Scheduler& scheduler = driver.scheduler;
  CHECK(scheduler.blocks_of(0) == std::vector<BlockId>{0, 1, 2});
  CHECK(scheduler.blocks_of(1) == std::vector<BlockId>{0, 1, 3});
  CHECK(scheduler.blocks_of(2) == std::vector<BlockId>{0, 1, 4});
  CHECK(scheduler.available() == 1);
  driver.steps();
  CHECK(scheduler.available() == 6);
}

TEST_CASE("sharing can be switched off", "[prefix]") {
  SchedulerLimits off = limits(64, 8, 0, 4, 20);
  off.prefix_sharing = false;
  Driver driver(off);
  CHECK(steps_of(driver, {{10, 11, "ab"}, {10, 11, "ab"}}) ==
        std::vector<std::string>{"0[0,10)* 1[0,10)*"});
  CHECK(driver.scheduler.prefix_tokens_looked_up() == 0);
}

TEST_CASE("a promise that is withdrawn lets the next one compute", "[prefix]") {
  Driver tight(limits(4, 8, 0, 2, 4));
  for (const Plan& plan : {Plan{2, 5}, Plan{6, 7, "abc"}, Plan{6, 7, "abc"}}) tight.add(plan);
  CHECK(tight.step() == "0[0,2)* 1[0,2)");
  CHECK(tight.scheduler.waiting() == 1);
  CHECK(tight.step() == "0[2,3)*");  // with a block of 1's, which had promised "b" and "c"
  CHECK(tight.scheduler.preemptions() == 1);
  CHECK(tight.scheduler.waiting() == 2);
  CHECK(tight.step() == "0[3,4)*");
  CHECK(tight.steps() == std::vector<std::string>{"1[2,6)*", "2[4,6)*"});
  // First admissions alone count: not the block of its own that 1 has found again.
  CHECK(tight.scheduler.prefix_tokens_looked_up() == 4 + 4);
  CHECK(tight.scheduler.prefix_tokens_taken_over() == 0 + 4);
}

TEST_CASE("hashes must belong to full blocks", "[prefix]") {
  Scheduler scheduler(limits(64, 8, 0, 4, 20));
  CHECK_THROWS_AS(scheduler.add(0, 7, 9, blocks_named("ab")), Error);
  CHECK_NOTHROW(scheduler.add(0, 8, 9, blocks_named("ab")));
  CHECK_THROWS_AS(scheduler.add(0, 8, 9), Error);  // there is one
}

}  // namespace
}  // namespace weft
