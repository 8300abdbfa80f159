// Comparing the GPU's operators with the plain twins.
#pragma once

#include <cstddef>
#include <vector>

#include "catch.h"
#include "ops_testing.h"
#include "device_under_test.h"

namespace weft::testing {

/// One subject for all tests.
inline GpuOps& subject() {
  static const std::unique_ptr<GpuOps> ops = make_subject();
  return *ops;
}

/// The plain twins with the GPU's contract.
inline Ops& twin() {
  static const std::unique_ptr<Ops> ops = make_reference_ops(Probabilities::rounded);
  return *ops;
}

/// Demands that `run`, given operators, yields the same bytes with the subject and the twin.
template <class Run>
void same_bits(Run run) {
  const bool same = run(static_cast<Ops&>(subject())) == run(twin());
  CHECK(same);
}

/// How far two arrays are apart: ‖a − b‖ / ‖b‖, and infinity where they differ in length or where
/// one has a NaN that the other has not.
double distance(const std::vector<float>& a, const std::vector<float>& b);

/// Demands the twin's bits (but for the sign of zeros) where products are the twin's, else the
/// twin's values within `tolerance` of `distance`.
void check_products(const std::vector<float>& is, const std::vector<float>& twins,
                    double tolerance);

}  // namespace weft::testing
