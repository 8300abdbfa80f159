// Work shared out among threads of different speed.
#include <atomic>
#include <thread>
#include <vector>

#include "catch.h"
#include "ops/cpu/work_shares.h"

using weft::Range;
using weft::WorkShares;

namespace {

/// Takes what is left for one thread, in order.
std::vector<Range> all_of(WorkShares& shares, std::int64_t thread) {
  std::vector<Range> taken;
  for (Range items = shares.take(thread); !items.empty(); items = shares.take(thread)) {
    taken.push_back(items);
  }
  return taken;
}

}  // namespace

TEST_CASE("a thread alone takes its own share forwards, then the others' from the back") {
  WorkShares shares(2);
  shares.begin(80, 8);
  const std::vector<Range> expected = {{0, 10},  {10, 20}, {20, 30}, {30, 40},
                                       {70, 80}, {60, 70}, {50, 60}, {40, 50}};
  CHECK(all_of(shares, 0) == expected);
  CHECK(all_of(shares, 1).empty());
}

TEST_CASE("there are no more pieces than items, and none is empty") {
  WorkShares shares(4);
  shares.begin(3, 100);
  std::vector<Range> taken = all_of(shares, 3);
  REQUIRE(taken.size() == 3);
  for (const Range& items : taken) CHECK(items.size() == 1);
  shares.begin(7, 3);
  taken = all_of(shares, 1);
  REQUIRE(taken.size() == 3);
  std::int64_t sum = 0;
  for (const Range& items : taken) sum += items.size();
  CHECK(sum == 7);
}

TEST_CASE("threads that take at the same time get every item once") {
  constexpr std::int64_t kThreads = 4;
  constexpr std::int64_t kItems = 1000;
  WorkShares shares(kThreads);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::atomic<int>> times(kItems);
    shares.begin(kItems, 300);
    {
      std::vector<std::jthread> team;
      for (std::int64_t t = 0; t < kThreads; ++t) {
        team.emplace_back([&, t] {
          for (Range items = shares.take(t); !items.empty(); items = shares.take(t)) {
            for (std::int64_t i = items.begin; i < items.end; ++i) {
              ++times[static_cast<std::size_t>(i)];
            }
          }
        });
      }
    }
    bool once = true;
    for (const std::atomic<int>& one : times) once = once && one == 1;
    REQUIRE(once);
  }
}
