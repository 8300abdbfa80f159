#include "compare.h"

#include <cmath>
#include <limits>

#include "catch.h"

namespace weft::testing {

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) || std::isnan(b[i])) {
      if (std::isnan(a[i]) != std::isnan(b[i])) return std::numeric_limits<double>::infinity();
      continue;
    }
    if (a[i] == b[i]) continue;
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    norm += double{b[i]} * b[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

void check_products(const std::vector<float>& is, const std::vector<float>& references,
                    double tolerance) {
  if (!has_plain_products()) {
    CHECK(distance(is, references) <= tolerance);
    return;
  }
  REQUIRE(is.size() == references.size());
  std::size_t different = 0;
  std::size_t first = is.size();
  for (std::size_t i = 0; i < is.size(); ++i) {
    if (is[i] == references[i] || (std::isnan(is[i]) && std::isnan(references[i]))) continue;
    if (different++ == 0) first = i;
  }
  INFO(different << " of " << is.size() << " differ, the first at " << first << ": "
                 << (first < is.size() ? is[first] : 0) << " instead of "
                 << (first < is.size() ? references[first] : 0));
  CHECK(different == 0);
}

}  // namespace weft::testing
