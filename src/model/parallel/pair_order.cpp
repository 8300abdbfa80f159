#include "model/parallel/pair_order.h"

#include "base/error.h"

namespace weft {

PairOrder order_pairs(std::span<const std::int32_t> experts, std::span<const int> part_of,
                      int parts) {
  PairOrder order;
  order.pairs_of.assign(static_cast<std::size_t>(parts), 0);
  order.ends.assign(part_of.size(), 0);
  for (const std::int32_t expert : experts) {
    require(expert >= 0 && static_cast<std::size_t>(expert) < part_of.size(), "expert {} of {}",
            expert, part_of.size());
    ++order.ends[static_cast<std::size_t>(expert)];
  }
  std::vector<std::int64_t> next(part_of.size());
  for (std::size_t expert = 0; expert < part_of.size(); ++expert) {
    std::int64_t& pairs = order.pairs_of[static_cast<std::size_t>(part_of[expert])];
    next[expert] = pairs;
    pairs += order.ends[expert];
    order.ends[expert] = pairs;
  }
  order.position.reserve(experts.size());
  for (const std::int32_t expert : experts) {
    order.position.push_back(next[static_cast<std::size_t>(expert)]++);
  }
  return order;
}

std::vector<int> parts_of_experts(std::int64_t experts, int parts) {
  std::vector<int> part_of(static_cast<std::size_t>(experts));
  for (int part = 0; part < parts; ++part) {
    const Range own = experts_of(experts, part, parts);
    for (std::int64_t e = own.begin; e < own.end; ++e) part_of[static_cast<std::size_t>(e)] = part;
  }
  return part_of;
}

}  // namespace weft
