// How tokens fall on the experts of a layer, counted where the operators run.
#pragma once

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/tensor.h"

namespace weft {

class Ops;

/// How the tokens of all steps so far fell on a layer's experts, as this rank's tokens chose.
struct ExpertLoad {
  std::int64_t layer = 0;
  std::vector<std::int64_t> tokens;  ///< of each expert

  /// The busiest expert's tokens over the mean: 1 when all are equally busy, 0 before any token.
  [[nodiscard]] double imbalance() const;
};

/// The counts of one layer.
class LoadCounter {
 public:
  LoadCounter(std::int64_t layer, std::int64_t experts, Ops& ops);

  /// Bytes that it takes from the operators' memory.
  static Bytes bytes(std::int64_t experts) { return static_cast<Bytes>(experts) * 4; }

  /// A step of `rows` rows begins. Counts that might overflow are moved to the host first.
  void begin(std::int64_t rows);
  /// [experts] i32, for Ops::route to add to.
  [[nodiscard]] Tensor counts() const;
  /// Waits for the operators.
  [[nodiscard]] ExpertLoad load() const;

 private:
  Ops& ops_;
  ExpertLoad before_;      ///< what was moved to the host
  std::int64_t rows_ = 0;  ///< since then
  Buffer counts_;
};

}  // namespace weft
