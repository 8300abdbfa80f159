// The cut of a prompt's rows for sequence parallelism.
#include "layout/causal_split.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"

namespace weft {
namespace {

/// "0-2 7-9": the two runs of a rank.
std::string written(const std::array<Range, 2>& runs) {
  std::string text;
  for (const Range& run : runs) {
    text += (text.empty() ? "" : " ") + std::to_string(run.begin) + "-" + std::to_string(run.end);
  }
  return text;
}

TEST_CASE("rows are dealt from both ends", "[layout]") {
  struct Case {
    std::int64_t count;
    int sp;
    std::vector<std::string> ranks;
  };
  const std::vector<Case> cases = {
      {5, 1, {"0-3 3-5"}},
      {8, 2, {"0-2 6-8", "2-4 4-6"}},
      {9, 2, {"0-3 7-9", "3-5 5-7"}},
      {11, 2, {"0-3 9-11", "3-6 6-9"}},
      {12, 3, {"0-2 10-12", "2-4 8-10", "4-6 6-8"}},
      {0, 2, {"0-0 0-0", "0-0 0-0"}},
      {1, 2, {"0-1 1-1", "1-1 1-1"}},
      {2, 3, {"0-1 2-2", "1-2 2-2", "2-2 2-2"}},
      {4, 3, {"0-1 4-4", "1-2 4-4", "2-3 3-4"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.count, c.sp);
    std::vector<std::string> ranks;
    for (int rank = 0; rank < c.sp; ++rank) {
      ranks.push_back(written(causal_rows(c.count, c.sp, rank)));
    }
    CHECK(ranks == c.ranks);
  }
}

TEST_CASE("every row has one rank, and all have about as much to do", "[layout]") {
  for (int sp = 1; sp <= 9; ++sp) {
    for (std::int64_t count = 0; count <= 150; ++count) {
      CAPTURE(sp, count);
      std::vector<int> owners(static_cast<std::size_t>(count), 0);
      std::vector<std::int64_t> rows;
      std::vector<std::int64_t> keys;  // that the rank's rows attend to
      for (int rank = 0; rank < sp; ++rank) {
        rows.push_back(causal_row_count(count, sp, rank));
        keys.push_back(0);
        for (const Range& run : causal_rows(count, sp, rank)) {
          REQUIRE(run.size() >= 0);
          for (std::int64_t row = run.begin; row < run.end; ++row) {
            ++owners.at(static_cast<std::size_t>(row));
            keys.back() += row + 1;
          }
        }
      }
      REQUIRE(std::all_of(owners.begin(), owners.end(), [](int n) { return n == 1; }));
      REQUIRE(*std::max_element(rows.begin(), rows.end()) == ceil_div(count, sp));
      REQUIRE(*std::min_element(rows.begin(), rows.end()) == count / sp);
      // A row more or less, and that in one run, is all the difference.
      REQUIRE(*std::max_element(keys.begin(), keys.end()) -
                  *std::min_element(keys.begin(), keys.end()) <=
              2 * count);
    }
  }
  CHECK_THROWS_AS(causal_rows(4, 2, 2), Error);
  CHECK_THROWS_AS(causal_rows(-1, 2, 0), Error);
}

}  // namespace
}  // namespace weft
