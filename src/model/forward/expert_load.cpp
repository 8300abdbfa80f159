#include "model/forward/expert_load.h"
#include "ops/ops.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace weft {

double ExpertLoad::imbalance() const {
  const std::int64_t total = std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0});
  if (total == 0) return 0;
  const std::int64_t most = *std::max_element(tokens.begin(), tokens.end());
  return static_cast<double>(most) * static_cast<double>(tokens.size()) /
         static_cast<double>(total);
}

LoadCounter::LoadCounter(std::int64_t layer, std::int64_t experts, Ops& ops)
    : ops_(ops),
      before_{layer, std::vector<std::int64_t>(static_cast<std::size_t>(experts), 0)},
      counts_(ops.memory(), bytes(experts)) {}

void LoadCounter::begin(std::int64_t rows) {
  // A row chooses an expert once.
  if (rows_ + rows > std::numeric_limits<std::int32_t>::max()) {
    before_ = load();
    ops_.clear(counts());
    rows_ = 0;
  }
  rows_ += rows;
}

ExpertLoad LoadCounter::load() const {
  std::vector<std::int32_t> since(before_.tokens.size());
  ops_.download(counts(), std::as_writable_bytes(std::span(since)));
  ExpertLoad load = before_;
  for (std::size_t expert = 0; expert < since.size(); ++expert) {
    load.tokens[expert] += since[expert];
  }
  return load;
}

Tensor LoadCounter::counts() const {
  return counts_.tensor(DType::i32, {static_cast<std::int64_t>(before_.tokens.size())});
}

}  // namespace weft
