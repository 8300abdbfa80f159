#include "layout/causal_split.h"

#include <algorithm>

#include "base/error.h"

namespace weft {

std::array<Range, 2> causal_rows(std::int64_t count, int sp, int rank) {
  require(count >= 0 && rank >= 0 && rank < sp, "rank {} of {} of {} rows", rank, sp, count);
  const std::int64_t runs = 2 * std::int64_t{sp};
  const auto begin = [&](std::int64_t run) {
    return run * (count / runs) + std::min(run, count % runs);
  };
  const std::int64_t late = runs - 1 - rank;
  return {Range{begin(rank), begin(std::int64_t{rank} + 1)}, Range{begin(late), begin(late + 1)}};
}

std::int64_t causal_row_count(std::int64_t count, int sp, int rank) {
  const std::array<Range, 2> rows = causal_rows(count, sp, rank);
  return rows[0].size() + rows[1].size();
}

}  // namespace weft
