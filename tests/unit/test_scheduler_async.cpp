// Steps that are completed when they are launched, and sequences whose end is known a step later.
#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "scheduler_testing.h"

namespace weft {
namespace {

/// A sequence of `length` tokens that may become `longest` and turns out to end with `end`.
struct Late {
  std::int64_t length;
  std::int64_t longest;
  std::int64_t end;
  std::string prefix = {};
};

/// Completes steps as they are launched; learns of the ends in a step when the next is launched.
class AheadDriver {
 public:
  explicit AheadDriver(const SchedulerLimits& limits) : scheduler(limits) {}

  void add(const Late& plan) {
    scheduler.add(next_, plan.length, plan.longest, blocks_named(plan.prefix));
    plans_.emplace(next_++, plan);
  }

  /// Launches a step, then lands the one before it.
  std::vector<Slice> step() {
    const std::vector<Slice> slices = scheduler.next();
    std::vector<std::int64_t> ended;
    for (const Slice& slice : slices) {
      Late& plan = plans_.at(slice.sequence);
      if (slice.samples) ++plan.length;
      const bool leaves = slice.samples && plan.length >= plan.longest;
      scheduler.complete(slice, leaves);
      if (slice.samples && plan.length == plan.end && !leaves) ended.push_back(slice.sequence);
      if (leaves) gone_.insert(slice.sequence);
    }
    for (const std::int64_t sequence : ending_) {
      if (!gone_.contains(sequence)) scheduler.end(sequence);
    }
    ending_ = ended;
    return slices;
  }

  std::vector<std::string> steps() {
    std::vector<std::string> all;
    while (true) {
      const bool landing = !ending_.empty();
      const std::string text = describe(step());
      if (!text.empty()) all.push_back(text);
      if (text.empty() && !landing) return all;
      REQUIRE(all.size() < 200);
    }
  }

  Scheduler scheduler;

 private:
  std::int64_t next_ = 0;
  std::map<std::int64_t, Late> plans_;
  std::vector<std::int64_t> ending_;  ///< in the step launched last
  std::set<std::int64_t> gone_;       ///< that reached a limit
};

TEST_CASE("ends that are known a step late", "[scheduler][async]") {
  struct Case {
    const char* what;
    SchedulerLimits limits;
    std::vector<Late> plans;
    std::vector<std::string> steps;
    std::int64_t preemptions = 0;
  };
  const std::vector<Case> cases = {
      {"one row too many",
       limits(64, 8, 0, 4, 20),
       {{3, 10, 5}},
       {"0[0,3)*", "0[3,4)*", "0[4,5)*"}},
      {"none where the limit is the end",
       limits(64, 8, 0, 4, 20),
       {{3, 5, 5}},
       {"0[0,3)*", "0[3,4)*"}},
      {"the row too many is the last that there may be",
       limits(64, 8, 0, 4, 20),
       {{3, 6, 5}},
       {"0[0,3)*", "0[3,4)*", "0[4,5)*"}},
      {"its place is free a step later",
       limits(64, 1, 0, 4, 20),
       {{3, 10, 4}, {2, 3, 3}},
       {"0[0,3)*", "0[3,4)*", "1[0,2)*"}},
      {"a limit frees the place at once",
       limits(64, 1, 0, 4, 20),
       {{3, 4, 4}, {2, 3, 3}},
       {"0[0,3)*", "1[0,2)*"}},
      // 0 takes a block for a row too many, from 1.
      {"a row too many throws another one out",
       limits(64, 8, 0, 2, 4),
       {{4, 9, 5}, {3, 5, 5}},
       {"0[0,4)* 1[0,3)*", "0[4,5)*", "1[0,4)*"},
       1},
      // 1 has ended in the first step, which the second does not know that throws it out.
      {"who was thrown out has ended",
       limits(64, 8, 0, 2, 4),
       {{4, 6, 6}, {3, 9, 4}},
       {"0[0,4)* 1[0,3)*", "0[4,5)*"},
       1},
      {"pages of a prompt outlive it",
       limits(64, 1, 0, 2, 8),
       {{5, 9, 6, "ab"}, {5, 6, 6, "ab"}},
       {"0[0,5)*", "0[5,6)*", "1[4,5)*"}},
      {"prompts in chunks, of which one is taken over while the other goes on",
       limits(4, 8, 0, 2, 12),
       {{6, 9, 7, "abc"}, {7, 8, 8, "abc"}},
       {"0[0,4)", "0[4,6)*", "0[6,7)* 1[6,7)*"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    AheadDriver driver(c.limits);
    for (const Late& plan : c.plans) driver.add(plan);
    CHECK(driver.steps() == c.steps);
    CHECK(driver.scheduler.preemptions() == c.preemptions);
    CHECK(driver.scheduler.idle());
    CHECK(driver.scheduler.available() == c.limits.kv_blocks);
  }
}

TEST_CASE("what cannot end", "[scheduler][async]") {
  Scheduler scheduler(limits(64, 8, 0, 4, 20));
  CHECK_THROWS_AS(scheduler.end(0), Error);
  scheduler.add(0, 3, 9);
  const std::vector<Slice> step = scheduler.next();
  CHECK_THROWS_AS(scheduler.end(0), Error);  // in flight
  scheduler.complete(step[0], false);
  scheduler.end(0);
  CHECK_THROWS_AS(scheduler.end(0), Error);
  CHECK(scheduler.idle());
}

/// Random loads: what a step reads must have been written by steps before it, and by nobody else
/// since. Steps write in the order of their launches.
void simulate(std::uint32_t seed, const SchedulerLimits& limits, bool hashed) {
  std::mt19937 random(seed);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<std::uint32_t>(high - low + 1));
  };
  Scheduler scheduler(limits);
  struct Live {
    std::string tokens;
    std::int64_t longest = 0;
    bool gone = false;  ///< for the scheduler
  };
  std::map<std::int64_t, Live> live;
  std::vector<std::string> cache(static_cast<std::size_t>(limits.kv_blocks * limits.block_tokens));
  std::vector<std::int64_t> ending;
  std::int64_t left = 40;
  std::int64_t next = 0;
  while (left > 0 || !live.empty()) {
    for (; left > 0 && (live.empty() || pick(0, 2) == 0); --left, ++next) {
      Live sequence;
      const std::int64_t most = limits.kv_blocks * limits.block_tokens;
      const std::int64_t length = pick(1, most - 1);
      sequence.longest = pick(length + 1, most);
      for (std::int64_t i = 0; i < length; ++i) {
        sequence.tokens += static_cast<char>('a' + pick(0, 40) / 40);
      }
      std::vector<BlockHash> hashes;
      for (std::int64_t end = limits.block_tokens; hashed && end <= length;
           end += limits.block_tokens) {
        hashes.push_back(digest_of(sequence.tokens.substr(0, static_cast<std::size_t>(end))));
      }
      scheduler.add(next, length, sequence.longest, hashes);
      live.emplace(next, sequence);
    }
    const std::vector<Slice> slices = scheduler.next();
    REQUIRE((!slices.empty() || !ending.empty()));
    std::vector<std::int64_t> ended;
    for (const Slice& slice : slices) {
      Live& sequence = live.at(slice.sequence);
      REQUIRE_FALSE(sequence.gone);
      const std::vector<BlockId>& kv_blocks = scheduler.blocks_of(slice.sequence);
      for (std::int64_t i = 0; i < slice.begin + slice.count; ++i) {
        const BlockId kv_block = kv_blocks[static_cast<std::size_t>(i / limits.block_tokens)];
        std::string& slot = cache[static_cast<std::size_t>(kv_block * limits.block_tokens +
                                                           i % limits.block_tokens)];
        const std::string written = sequence.tokens.substr(0, static_cast<std::size_t>(i) + 1);
        if (i >= slice.begin) slot = written;
        REQUIRE(slot == written);
      }
    }
    for (const Slice& slice : slices) {
      Live& sequence = live.at(slice.sequence);
      if (slice.samples) sequence.tokens += static_cast<char>('a' + pick(0, 25));
      sequence.gone =
          slice.samples && static_cast<std::int64_t>(sequence.tokens.size()) >= sequence.longest;
      scheduler.complete(slice, sequence.gone);
      if (slice.samples && (sequence.gone || pick(0, 4) == 0)) ended.push_back(slice.sequence);
    }
    for (const std::int64_t sequence : ending) {
      if (live.contains(sequence) && !live.at(sequence).gone) scheduler.end(sequence);
      live.erase(sequence);
    }
    ending = ended;
  }
  REQUIRE(scheduler.idle());
  REQUIRE(scheduler.available() == limits.kv_blocks);
}

TEST_CASE("random loads whose ends are known a step late", "[scheduler][async]") {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    simulate(seed, limits(12, 6, 5, 2, 9), seed % 3 != 0);
    simulate(seed, limits(40, 3, 0, 4, 12), seed % 3 != 1);
  }
}

}  // namespace
}  // namespace weft
