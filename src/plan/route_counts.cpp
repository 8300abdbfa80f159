#include "plan/route_counts.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "model/parallel/pair_order.h"

namespace weft {

std::int64_t RouteCounts::pairs_of(int part) const {
  std::int64_t sum = 0;
  for (const auto& slice : pairs) sum += slice[static_cast<std::size_t>(part)];
  return sum;
}

RouteCounts count_routes(const MoePartition& part, std::span<const std::int64_t> domain_rows,
                         std::span<const std::int32_t> chosen) {
  const auto parts = static_cast<std::size_t>(part.coordinates.ep);
  const auto k = static_cast<std::size_t>(part.config.per_token);
  const std::vector<int> part_of = parts_of_experts(part.config.experts, part.coordinates.ep);
  require(static_cast<int>(domain_rows.size()) == part.coordinates.domains() &&
              static_cast<std::size_t>(std::reduce(domain_rows.begin(), domain_rows.end())) * k ==
                  chosen.size(),
          "{} experts were chosen in {} domains", chosen.size(), domain_rows.size());
  RouteCounts counts;
  auto next = chosen.begin();
  for (const std::int64_t rows : domain_rows) {
    for (std::int64_t rank = 0; rank < part.coordinates.tp; ++rank) {
      std::vector<std::int64_t> pairs(parts, 0);
      std::vector<std::int64_t> with(parts, 0);
      const std::int64_t own =
          (rank + 1) * rows / part.coordinates.tp - rank * rows / part.coordinates.tp;
      for (std::int64_t row = 0; row < own; ++row) {
        std::vector<bool> met(parts, false);
        for (std::size_t i = 0; i < k; ++i) {
          const auto home = static_cast<std::size_t>(part_of[static_cast<std::size_t>(*next++)]);
          ++pairs[home];
          if (!met[home]) ++with[home];
          met[home] = true;
        }
      }
      counts.pairs.push_back(std::move(pairs));
      counts.rows.push_back(std::move(with));
    }
  }
  return counts;
}

std::vector<std::int32_t> balanced_experts(const MoeConfig& config, std::int64_t rows) {
  std::vector<std::int32_t> chosen;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < config.per_token; ++i) {
      chosen.push_back(static_cast<std::int32_t>((row + i * config.experts / config.per_token) %
                                                 config.experts));
    }
  }
  return chosen;
}

}  // namespace weft
