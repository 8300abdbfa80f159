// Comparing the GPU's operators with the reference implementations.
#pragma once

#include <cstddef>
#include <vector>

#include "catch.h"
#include "device_under_test.h"
#include "ops_testing.h"
#include "reference_ops/make_reference_ops.h"

namespace weft::testing {

/// One subject for all tests.
inline GpuOps& device() {
  static const std::unique_ptr<GpuOps> ops = make_device();
  return *ops;
}

/// The reference implementations with the GPU's contract.
inline Ops& reference() {
  static const std::unique_ptr<Ops> ops = make_reference_ops(Probabilities::rounded);
  return *ops;
}

/// Demands that `run`, given operators, yields the same bytes with the subject and the reference
/// implementation.
template <class Run>
void same_bits(Run run) {
  const bool same = run(static_cast<Ops&>(device())) == run(reference());
  CHECK(same);
}

/// How far two arrays are apart: ‖a − b‖ / ‖b‖, and infinity where they differ in length or where
/// one has a NaN that the other has not.
double distance(const std::vector<float>& a, const std::vector<float>& b);

/// Demands the reference implementation's bits (but for the sign of zeros) where products are the
/// reference implementation's, else the reference implementation's values within `tolerance` of
/// `distance`.
void check_products(const std::vector<float>& is, const std::vector<float>& references,
                    double tolerance);

}  // namespace weft::testing
