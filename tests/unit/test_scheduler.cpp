// Continuous batching: step by step in tables, then under random load.
#include "engine/scheduler.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "cache/block_pool.h"
#include "catch.h"

namespace weft {
namespace {

TEST_CASE("the pool hands out the lowest free page", "[scheduler]") {
  BlockPool pool(4);
  for (PageId page = 0; page < 4; ++page) CHECK(pool.take() == page);
  CHECK(pool.available() == 0);
  CHECK_THROWS_AS(pool.take(), Error);
  for (const PageId page : {3, 1, 2}) pool.give(page);
  CHECK(pool.available() == 3);
  CHECK(pool.take() == 1);
  CHECK(pool.take() == 2);
  pool.give(0);
  CHECK(pool.take() == 0);
  CHECK(pool.pages() == 4);
}

TEST_CASE("the pool takes back only what it gave", "[scheduler]") {
  BlockPool pool(2);
  CHECK_THROWS_AS(pool.give(0), Error);
  const PageId page = pool.take();
  pool.give(page);
  CHECK_THROWS_AS(pool.give(page), Error);
  CHECK_THROWS_AS(pool.give(-1), Error);
  CHECK_THROWS_AS(pool.give(2), Error);
  CHECK(pool.available() == 2);
}

SchedulerLimits limits(std::int64_t rows, std::int64_t sequences, std::int64_t chunk,
                       std::int64_t page_tokens, std::int64_t pages) {
  return {rows, sequences, chunk, page_tokens, pages};
}

/// "0[0,8) 1[0,4)*": sequence, positions, and a star where a token is sampled.
std::string describe(const std::vector<Slice>& step) {
  std::string text;
  for (const Slice& slice : step) {
    text += (text.empty() ? "" : " ") + std::to_string(slice.sequence) + "[" +
            std::to_string(slice.begin) + "," + std::to_string(slice.begin + slice.count) + ")" +
            (slice.samples ? "*" : "");
  }
  return text;
}

/// A sequence of `length` tokens that ends when it has `end` tokens.
struct Plan {
  std::int64_t length;
  std::int64_t end;
};

/// All steps until nothing is left.
std::vector<std::string> steps_of(Scheduler& scheduler, const std::vector<Plan>& plans) {
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    scheduler.add(static_cast<std::int64_t>(i), plans[i].length, plans[i].end);
    lengths.push_back(plans[i].length);
  }
  std::vector<std::string> steps;
  for (std::vector<Slice> step = scheduler.next(); !step.empty(); step = scheduler.next()) {
    steps.push_back(describe(step));
    REQUIRE(steps.size() < 100);
    for (const Slice& slice : step) {
      const auto i = static_cast<std::size_t>(slice.sequence);
      if (slice.samples) ++lengths[i];
      scheduler.complete(slice, slice.samples && lengths[i] >= plans[i].end);
    }
  }
  return steps;
}

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
      // Two pages of two tokens: at position 2 the older one needs the younger one's page. What was
      // thrown out keeps its sampled token and is computed again from position 0.
      {"the youngest gives way and comes back when there is room",
       limits(8, 4, 0, 2, 2),
       {{2, 5}, {2, 4}},
       {"0[0,2)* 1[0,2)*", "0[2,3)*", "0[3,4)*", "1[0,3)*"},
       1},
      // Three pages: 0 takes the third, then 1 can only drop itself.
      {"the youngest may be the one that needs a page",
       limits(8, 4, 0, 2, 3),
       {{2, 5}, {2, 4}},
       {"0[0,2)* 1[0,2)*", "0[2,3)*", "0[3,4)*", "1[0,3)*"},
       1},
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
    Scheduler scheduler(c.limits);
    CHECK(steps_of(scheduler, c.plans) == c.steps);
    CHECK(scheduler.preemptions() == c.preemptions);
    CHECK(scheduler.idle());
  }
}

TEST_CASE("pages follow positions and are freed at the end", "[scheduler]") {
  Scheduler scheduler(limits(8, 4, 0, 4, 4));
  scheduler.add(7, 5, 12);
  CHECK(scheduler.waiting() == 1);
  CHECK(scheduler.running() == 0);
  CHECK_THROWS_AS(scheduler.pages_of(7), Error);
  std::vector<Slice> step = scheduler.next();
  CHECK(scheduler.waiting() == 0);
  CHECK(scheduler.running() == 1);
  CHECK(scheduler.pages_of(7) == std::vector<PageId>{0, 1});
  for (int token = 0; token < 3; ++token) {
    scheduler.complete(step.front(), false);
    step = scheduler.next();
    CHECK(scheduler.pages_of(7) == std::vector<PageId>{0, 1});
  }
  scheduler.complete(step.front(), false);
  step = scheduler.next();
  CHECK(describe(step) == "7[8,9)*");
  CHECK(scheduler.pages_of(7) == std::vector<PageId>{0, 1, 2});
  scheduler.complete(step.front(), true);
  CHECK(scheduler.idle());
  CHECK_THROWS_AS(scheduler.pages_of(7), Error);
  scheduler.add(8, 16, 17);
  scheduler.next();
  CHECK(scheduler.pages_of(8) == std::vector<PageId>{0, 1, 2, 3});
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
  CHECK_THROWS_AS(scheduler.add(0, 9, 9), Error);  // its prompt alone needs a third page
  CHECK_NOTHROW(scheduler.add(0, 8, 8));
  CHECK_THROWS_AS(scheduler.complete({0, 0, 8, true}, true), Error);  // still waiting
  const std::vector<Slice> step = scheduler.next();
  CHECK_THROWS_AS(scheduler.complete({1, 0, 1, true}, true), Error);
  scheduler.complete(step.front(), true);
  CHECK_THROWS_AS(scheduler.complete(step.front(), true), Error);
}

/// Two schedulers under the same random load, and what must hold at every step.
class Simulation {
 public:
  explicit Simulation(std::uint32_t seed)
      : random_(seed),
        limits_{pick(1, 40), pick(1, 12), pick(0, 1) == 0 ? 0 : pick(1, 10), pick(1, 8),
                pick(3, 40)},
        first_(limits_),
        second_(limits_) {}

  void run(int sequences) {
    for (int left = sequences; left > 0 || !live_.empty();) {
      for (; left > 0 && (live_.empty() || pick(0, 3) == 0); --left) add();
      step();
    }
    CHECK(first_.idle());
    CHECK(first_.next().empty());
    CHECK(preemptions_ == first_.preemptions());
    // All pages are free again: a sequence that needs every one of them starts at once.
    const std::int64_t all = limits_.pages * limits_.page_tokens;
    first_.add(-1, all, all + 1);
    REQUIRE(first_.next().size() == 1);
    CHECK(static_cast<std::int64_t>(first_.pages_of(-1).size()) == limits_.pages);
  }

  [[nodiscard]] std::int64_t preemptions() const { return preemptions_; }

 private:
  struct Live {
    std::int64_t sequence;
    std::int64_t length;
    std::int64_t end;  ///< finishes with that many tokens
    std::int64_t computed = 0;
  };

  std::int64_t pick(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint32_t>(high - low + 1));
  }

  void add() {
    const std::int64_t most = limits_.pages * limits_.page_tokens;
    const std::int64_t length = pick(1, pick(1, most));
    const std::int64_t longest = pick(length + 1, most + 1);
    first_.add(next_, length, longest);
    second_.add(next_, length, longest);
    live_.push_back({next_++, length, pick(length + 1, longest)});
  }

  void step() {
    const std::int64_t ran = first_.running();
    const std::int64_t preempted = first_.preemptions();
    const std::vector<Slice> slices = first_.next();
    REQUIRE(slices == second_.next());
    // Running sequences are always the oldest ones, so their number says which they are.
    const std::int64_t now = first_.running();
    const std::int64_t thrown = first_.preemptions() - preempted;
    REQUIRE(first_.waiting() == static_cast<std::int64_t>(live_.size()) - now);
    REQUIRE(now <= limits_.max_sequences);
    if (thrown > 0) REQUIRE(now == ran - thrown);
    preemptions_ += thrown;
    for (std::size_t i = static_cast<std::size_t>(now); i < live_.size(); ++i)
      live_[i].computed = 0;
    check_slices(slices, now);
    const std::int64_t free = limits_.pages - check_pages(slices, now);
    check_nothing_idles(slices, now, free, thrown > 0);
    for (const Slice& slice : slices) complete(slice);
  }

  /// The oldest sequence takes part in every step, the others in their order: nobody starves.
  void check_slices(const std::vector<Slice>& slices, std::int64_t now) {
    REQUIRE_FALSE(slices.empty());
    REQUIRE(static_cast<std::int64_t>(slices.size()) <= now);
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < slices.size(); ++i) {
      const Slice& slice = slices[i];
      const Live& live = live_[i];
      REQUIRE(slice.sequence == live.sequence);
      REQUIRE(slice.begin == live.computed);
      REQUIRE(slice.count > 0);
      REQUIRE(slice.begin + slice.count <= live.length);
      REQUIRE(slice.samples == (slice.begin + slice.count == live.length));
      if (limits_.prefill_chunk > 0) REQUIRE(slice.count <= limits_.prefill_chunk);
      rows += slice.count;
    }
    REQUIRE(rows <= limits_.max_batch_tokens);
    if (static_cast<std::int64_t>(slices.size()) < now) REQUIRE(rows == limits_.max_batch_tokens);
  }

  /// Pages in use: no page twice, enough for each sequence, the same in both schedulers.
  std::int64_t check_pages(const std::vector<Slice>& slices, std::int64_t now) {
    std::set<PageId> used;
    std::size_t count = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(now); ++i) {
      const std::vector<PageId>& pages = first_.pages_of(live_[i].sequence);
      REQUIRE(pages == second_.pages_of(live_[i].sequence));
      const std::int64_t rows = i < slices.size() ? slices[i].count : 0;
      const std::int64_t room = static_cast<std::int64_t>(pages.size()) * limits_.page_tokens;
      REQUIRE(room >= live_[i].computed + rows);
      used.insert(pages.begin(), pages.end());
      count += pages.size();
    }
    REQUIRE(used.size() == count);
    REQUIRE((used.empty() || (*used.begin() >= 0 && *used.rbegin() < limits_.pages)));
    return static_cast<std::int64_t>(count);
  }

  /// A sequence waits only for want of rows, places or pages.
  void check_nothing_idles(const std::vector<Slice>& slices, std::int64_t now, std::int64_t free,
                           bool preempted) {
    std::int64_t rows = 0;
    for (const Slice& slice : slices) rows += slice.count;
    if (preempted || now == static_cast<std::int64_t>(live_.size())) return;
    REQUIRE((rows == limits_.max_batch_tokens || now == limits_.max_sequences ||
             ceil_div(live_[static_cast<std::size_t>(now)].length, limits_.page_tokens) > free));
  }

  void complete(const Slice& slice) {
    const auto live = std::find_if(live_.begin(), live_.end(), [&](const Live& candidate) {
      return candidate.sequence == slice.sequence;
    });
    live->computed += slice.count;
    if (slice.samples) ++live->length;
    const bool finished = live->length >= live->end;
    first_.complete(slice, finished);
    second_.complete(slice, finished);
    if (finished) live_.erase(live);
  }

  std::mt19937 random_;
  SchedulerLimits limits_;
  Scheduler first_;
  Scheduler second_;
  std::vector<Live> live_;  ///< in order of arrival
  std::int64_t next_ = 0;
  std::int64_t preemptions_ = 0;
};

TEST_CASE("random loads keep every promise", "[scheduler]") {
  std::int64_t preemptions = 0;
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Simulation simulation(seed);
    simulation.run(60);
    preemptions += simulation.preemptions();
  }
  CHECK(preemptions > 100);  // or the loads were too easy
}

}  // namespace
}  // namespace weft
