// How long a replica takes for a step: the sum of its operators and calls, by stage.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "engine/scheduler.h"
#include "plan/hardware.h"
#include "plan/layout_table.h"

namespace weft {

/// What a step asks of one sp rank.
struct StepLoad {
  std::int64_t rows = 0;
  std::int64_t sequences = 0;
  std::int64_t samples = 0;  ///< rows from which tokens are sampled
  double pairs = 0;          ///< of a row and a key that it sees
  double keys = 0;           ///< positions whose keys are read
  std::int64_t shared = 0;   ///< of the rows, those of shared prompts
};

/// What the slices of a step ask of each sp rank.
std::vector<StepLoad> loads_of(std::span<const Slice> slices, int sp);

/// Seconds of a stage.
struct StageTime {
  double compute = 0;
  double communication = 0;
  [[nodiscard]] double total() const { return compute + communication; }
};

/// Of the rank with most weights of each stage, which the others wait for.
class StepModel {
 public:
  /// `verdict` is that of a possible layout; it and `hardware` must outlive the model.
  StepModel(const LayoutVerdict& verdict, const Hardware& hardware, int ranks_per_node,
            bool digest);

  /// Of each stage, the slowest sp rank's.
  std::vector<StageTime> stages(std::span<const StepLoad> loads);
  /// The host's work for a step of so many sequences and rows.
  [[nodiscard]] double host(std::int64_t sequences, std::int64_t rows) const;
  /// Loading the weights.
  [[nodiscard]] double loading() const;

 private:
  /// What does not depend on the keys: products, rows, sampling, communication.
  StageTime fixed(const Partition& part, int sp_rank, const StepLoad& load) const;
  StageTime stage(std::size_t index, const StepLoad& load);
  [[nodiscard]] double communication(const Partition& part, int sp_rank,
                                     const StepLoad& load) const;

  const LayoutVerdict& verdict_;
  const Hardware& hardware_;
  int ranks_per_node_;
  bool digest_;
  std::vector<std::size_t> parts_;  ///< by stage
  std::map<std::tuple<std::size_t, std::int64_t, std::int64_t, std::int64_t>, StageTime> known_;
};

}  // namespace weft
