#include "layout/stages.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace weft {

std::vector<Stage> cut_stages(std::span<const double> costs, int stages) {
  const std::size_t n = costs.size();
  const auto parts = static_cast<std::size_t>(stages);
  require(stages >= 1 && n >= parts, "{} stages for {} sub-layers", stages, n);
  std::vector<double> sum(n + 1, 0);  // of the first i costs
  for (std::size_t i = 0; i < n; ++i) sum[i + 1] = sum[i] + costs[i];
  // least[p][i]: the smallest possible cost of the dearest of p runs that make up the first i
  // sub-layers; begin[p][i]: where the last of them begins.
  constexpr double kNone = std::numeric_limits<double>::infinity();
  std::vector<std::vector<double>> least(parts + 1, std::vector<double>(n + 1, kNone));
  std::vector<std::vector<std::size_t>> begin(parts + 1, std::vector<std::size_t>(n + 1, 0));
  least[0][0] = 0;
  for (std::size_t p = 1; p <= parts; ++p) {
    for (std::size_t i = p; i <= n; ++i) {
      for (std::size_t from = p - 1; from < i; ++from) {
        const double dearest = std::max(least[p - 1][from], sum[i] - sum[from]);
        if (dearest > least[p][i]) continue;  // among equals the latest beginning
        least[p][i] = dearest;
        begin[p][i] = from;
      }
    }
  }
  std::vector<Stage> cut(parts);
  std::size_t end = n;
  for (std::size_t p = parts; p > 0; --p) {
    const std::size_t from = begin[p][end];
    cut[p - 1] = {static_cast<int>(p) - 1,
                  stages,
                  {static_cast<std::int64_t>(from), static_cast<std::int64_t>(end)}};
    end = from;
  }
  return cut;
}

}  // namespace weft
