#include "layout/stages.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace weft {
namespace {

constexpr double kNone = std::numeric_limits<double>::infinity();

/// The share that runs of sub-layers have of a whole.
class Shares {
 public:
  explicit Shares(const std::vector<double>& costs) : sum_{0} {
    for (const double cost : costs) sum_.push_back(sum_.back() + cost);
  }
  [[nodiscard]] double of(std::size_t from, std::size_t to) const {
    return sum_.back() > 0 ? (sum_[to] - sum_[from]) / sum_.back() : 0;
  }

 private:
  std::vector<double> sum_;  ///< of the first i costs
};

struct Cut {
  double price = kNone;
  std::vector<std::size_t> begins;  ///< of the runs
};

/// The cheapest cut of n sub-layers into `runs` runs: `price(from, to)` is that of one, `both` that
/// of what stands before a run and of the run together. Among equals the earlier runs are longer.
template <class Price, class Both>
Cut cheapest(std::size_t n, std::size_t runs, const Price& price, const Both& both) {
  // least[r][i]: the lowest price of r runs that make up the first i sub-layers; begin[r][i]: where
  // the last of them begins.
  std::vector<std::vector<double>> least(runs + 1, std::vector<double>(n + 1, kNone));
  std::vector<std::vector<std::size_t>> begin(runs + 1, std::vector<std::size_t>(n + 1, 0));
  least[0][0] = 0;
  for (std::size_t r = 1; r <= runs; ++r) {
    for (std::size_t i = r; i <= n; ++i) {
      for (std::size_t from = r - 1; from < i; ++from) {
        const double whole = both(least[r - 1][from], price(from, i));
        if (whole > least[r][i]) continue;
        least[r][i] = whole;
        begin[r][i] = from;
      }
    }
  }
  Cut cut{least[runs][n], std::vector<std::size_t>(runs)};
  std::size_t end = n;
  for (std::size_t r = runs; r > 0; --r) end = cut.begins[r - 1] = begin[r][end];
  return cut;
}

}  // namespace

std::vector<Stage> cut_stages(const SublayerCosts& costs, int stages) {
  const std::size_t n = costs.prefill.size();
  const auto runs = static_cast<std::size_t>(stages);
  require(costs.decode.size() == n && costs.memory.size() == n, "costs of {}, {} and {} sub-layers",
          n, costs.decode.size(), costs.memory.size());
  require(stages >= 1 && n >= runs, "{} stages for {} sub-layers", stages, n);
  const Shares prefill(costs.prefill);
  const Shares decode(costs.decode);
  const Shares memory(costs.memory);
  const auto largest = [&](std::size_t from, std::size_t to) {
    return std::max(prefill.of(from, to), decode.of(from, to));
  };
  const double bound =
      cheapest(n, runs, largest, [](double a, double b) { return std::max(a, b); }).price;
  const auto unevenness = [&](std::size_t from, std::size_t to) {
    // The same sum of shares, rounded another way, must not count as more.
    if (largest(from, to) > bound * (1 + 1e-9)) return kNone;
    const auto square = [](double share) { return share * share; };
    return square(prefill.of(from, to)) + square(decode.of(from, to)) + square(memory.of(from, to));
  };
  const Cut even = cheapest(n, runs, unevenness, [](double a, double b) { return a + b; });
  std::vector<Stage> cut;
  for (std::size_t r = 0; r < runs; ++r) {
    const std::size_t end = r + 1 < runs ? even.begins[r + 1] : n;
    cut.push_back({static_cast<int>(r),
                   stages,
                   {static_cast<std::int64_t>(even.begins[r]), static_cast<std::int64_t>(end)}});
  }
  return cut;
}

}  // namespace weft
