// Who computes which requests.
#include <numeric>
#include <vector>

#include "catch.h"
#include "comm/control/claims.h"

namespace weft::test {
namespace {

using Answer = Grant::Answer;

bool is_open(const std::vector<Range>& open, std::int64_t row) {
  for (const Range& range : open) {
    if (range.contains(row)) return true;
  }
  return false;
}

std::int64_t open_rows(const std::vector<Range>& open, Range rows) {
  std::int64_t count = 0;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) count += is_open(open, row) ? 1 : 0;
  return count;
}

/// Replicas that finish `speed[r]` requests a tick, and claim when they have none.
struct Simulation {
  std::vector<Range> open;
  std::vector<int> speed;
  std::vector<std::int64_t> granted;
  std::vector<std::vector<Range>> grants;
  int ticks = 0;

  void run() {
    ClaimTable table(open, static_cast<int>(speed.size()));
    granted.assign(speed.size(), 0);
    grants.resize(speed.size());
    std::vector<std::int64_t> finished(speed.size(), 0);
    for (bool more = true; more; ++ticks) {
      more = false;
      for (std::size_t r = 0; r < speed.size(); ++r) {
        finished[r] = std::min(granted[r], finished[r] + speed[r]);
        if (finished[r] == granted[r]) {
          const Grant grant = table.claim(static_cast<int>(r), finished[r]);
          REQUIRE(grant.answer != Answer::later);  // who has nothing is never put off
          if (grant.answer == Answer::rows) {
            grants[r].push_back(grant.rows);
            granted[r] += open_rows(open, grant.rows);
          }
        }
        more = more || finished[r] < granted[r];
      }
    }
    REQUIRE(table.unclaimed() == 0);
  }
};

}  // namespace

TEST_CASE("one replica is granted everything at once", "[claims]") {
  ClaimTable table({{3, 10}, {12, 20}}, 1);
  const Grant all = table.claim(0, 0);
  CHECK(all.answer == Answer::rows);
  CHECK(all.rows == Range{3, 20});
  CHECK(table.claim(0, 0).answer == Answer::exhausted);
  ClaimTable empty({}, 1);
  CHECK(empty.claim(0, 0).answer == Answer::exhausted);
}

TEST_CASE("every open request is granted once, ascending", "[claims]") {
  const std::vector<std::vector<Range>> cases = {
      {{0, 1000}}, {{0, 1}}, {{5, 6}, {9, 40}, {41, 42}, {100, 300}}, {{0, 3}}};
  for (const auto& open : cases) {
    for (const std::vector<int>& speed :
         {std::vector<int>{1, 1}, std::vector<int>{1, 7, 2}, std::vector<int>(8, 3)}) {
      Simulation job{open, speed, {}, {}};
      job.run();
      std::vector<int> times(static_cast<std::size_t>(open.back().end), 0);
      for (const auto& grants : job.grants) {
        std::int64_t end = 0;
        for (const Range& rows : grants) {
          CHECK(rows.begin >= end);
          end = rows.end;
          for (std::int64_t row = rows.begin; row < rows.end; ++row) {
            ++times[static_cast<std::size_t>(row)];
          }
        }
      }
      for (std::size_t row = 0; row < times.size(); ++row) {
        const bool wanted = is_open(open, static_cast<std::int64_t>(row));
        CHECK(times[row] >= (wanted ? 1 : 0));
        if (wanted) CHECK(times[row] == 1);
      }
    }
  }
}

TEST_CASE("fast replicas get more, and all finish together", "[claims]") {
  Simulation job{{{0, 10000}}, {1, 2, 4, 8}, {}, {}};
  job.run();
  CHECK(std::accumulate(job.granted.begin(), job.granted.end(), std::int64_t{0}) == 10000);
  CHECK(job.granted[3] > 4 * job.granted[0]);
  // A static split would take 2,500 ticks; the best possible is 667.
  CHECK(job.ticks < 1300);
}

TEST_CASE("pieces shrink towards the end", "[claims]") {
  Simulation job{{{0, 1000}}, {1, 1}, {}, {}};
  job.run();
  CHECK(job.grants[0].front().size() == 250);
  CHECK(job.grants[0].back().size() <= 2);
  CHECK(job.grants[1].back().size() <= 2);
}

TEST_CASE("the first to ask does not take all of a small job", "[claims]") {
  ClaimTable table({{0, 40}}, 4);
  std::int64_t first = 0;
  Grant grant;
  while ((grant = table.claim(0, 0)).answer == Answer::rows) first += grant.rows.size();
  CHECK(grant.answer == Answer::later);
  CHECK(first == 10);
  for (int replica = 1; replica < 4; ++replica) {
    std::int64_t mine = 0;
    while ((grant = table.claim(replica, 0)).answer == Answer::rows) mine += grant.rows.size();
    CHECK(mine == 10);
  }
  CHECK(grant.answer == Answer::exhausted);
}

TEST_CASE("news of finished requests levels what is left", "[claims]") {
  ClaimTable table({{0, 12}}, 2);
  CHECK(table.claim(0, 0).rows == Range{0, 3});
  CHECK(table.claim(1, 0).rows == Range{3, 6});
  CHECK(table.claim(0, 0).rows == Range{6, 8});
  CHECK(table.claim(0, 0).rows == Range{8, 9});
  CHECK(table.claim(0, 0).answer == Answer::later);  // 6 in hand, of 12
  table.note_finished(1, 3);
  table.note_finished(0, 4);
  // 2 and 0 in hand, 3 left: replica 0 may have one more.
  CHECK(table.claim(0, 4).rows == Range{9, 10});
  CHECK(table.claim(0, 4).answer == Answer::later);
  CHECK(table.claim(1, 3).rows == Range{10, 11});
}

TEST_CASE("fixed shares, where nothing can be claimed", "[claims]") {
  std::vector<int> times(30, 0);
  for (int replica = 0; replica < 3; ++replica) {
    StaticShare share({{0, 10}, {20, 30}}, replica, 3);
    Grant grant;
    while ((grant = share.next()).answer == Answer::rows) {
      CHECK(grant.rows.size() == 1);
      CHECK(grant.rows.begin % 3 == replica);
      ++times[static_cast<std::size_t>(grant.rows.begin)];
    }
    CHECK(grant.answer == Answer::exhausted);
  }
  for (std::size_t row = 0; row < times.size(); ++row) {
    CHECK(times[row] == (row < 10 || row >= 20 ? 1 : 0));
  }
}

}  // namespace weft::test
