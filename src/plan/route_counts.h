// How rows fall on the parts of the experts: what the traffic of a layer with experts depends on.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/parallel/moe_partition.h"

namespace weft {

/// The rows of one layer's step, all domains of an expert group together. A slice is what one rank
/// of the group sends and adds up of its domain's rows; both tables are [slice][part].
struct RouteCounts {
  std::vector<std::vector<std::int64_t>> pairs;  ///< of a row and an expert in the part
  std::vector<std::vector<std::int64_t>> rows;   ///< rows that have any expert in the part

  /// Pairs of all slices with an expert in `part`.
  [[nodiscard]] std::int64_t pairs_of(int part) const;
};

/// Counts them. `domain_rows` are the rows of each domain, `chosen` [their sum, k] their experts.
RouteCounts count_routes(const MoePartition& part, std::span<const std::int64_t> domain_rows,
                         std::span<const std::int32_t> chosen);

/// The experts [rows, k] of balanced rows: one row after the other, every expert is chosen as often
/// as any other, and the experts of a row are as far apart as can be.
std::vector<std::int32_t> balanced_experts(const MoeConfig& config, std::int64_t rows);

}  // namespace weft
